"""`mika down`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from mika.cli.context import Context, confirm, json_option, print_json
from mika.cli.spelling import pasteable
from mika.errors import FAILED, UsageError
from mika.stack import down
from mika.supervisor.survivors import describe_survivors

if TYPE_CHECKING:
    from mika.config.load import Config


@click.command("down")
@click.option("--all", "everything", is_flag=True, help="Also stop containers that mika did not start.")
@click.option("--volumes", is_flag=True, help="Also delete the data (asks first).")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--timeout", metavar="S", help="Force what still runs after this many seconds.")
@json_option
@click.pass_obj
def down_command(
    context: Context, everything: bool, volumes: bool, yes: bool, timeout: str | None, as_json: bool
) -> None:
    """Stop processes, then services, in reverse order. The data stays unless --volumes is given."""
    folder = context.folder
    if volumes and not yes:
        names = "".join(f", {name}" for name in down.named_data(folder, context.load()))
        confirm(f"Delete the data of {folder.project} (conversations and workflows{names})?")
    result = down.take_down(folder, _config(context), context.timeout(timeout), everything=everything, volumes=volumes)
    if result.note:
        click.echo(result.note, err=True)
    if as_json:
        print_json(result.as_json())
    else:
        _show(result, folder.project.as_posix(), volumes=volumes)
    if result.survivors:
        sys.exit(FAILED)


def _config(context: Context) -> Config | UsageError:
    try:
        return context.load()
    except UsageError as error:
        return error


def _show(result: down.TakenDown, project: str, *, volumes: bool) -> None:
    containers = result.containers
    if result.survivors:
        reason = describe_survivors(result.survivors)
        click.echo(f"{reason.text}\n  fix: {reason.fix}")
        return
    click.echo("stopped" if result.was_running or containers.stopped else f"nothing is running in {project}")
    if containers.running:
        names = ", ".join(containers.running)
        click.echo(pasteable(f"left running, since mika did not start them: {names} (`mika down --all` stops them)"))
    if result.swept:
        click.echo(f"stopped {len(result.swept)} left-over processes: {', '.join(map(str, result.swept))}")
    if volumes:
        deleted = ", ".join(result.deleted)
        click.echo(f"deleted: {deleted}" if deleted else "there was no data to delete")
