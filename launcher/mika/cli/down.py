"""`mika down`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from mika.cli.context import Context, confirm, json_option, print_json
from mika.cli.language import echo
from mika.cli.screen.progress import doing, progress, stopped
from mika.cli.spelling import say
from mika.errors import FAILED, MikaError, UsageError
from mika.stack import down
from mika.supervisor.survivors import describe_survivors
from mika.wording import _, joined, listed

if TYPE_CHECKING:
    from mika.config.load import Config
    from mika.project.folder import ProjectDir


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
        names = joined("", (_(", {name}", name=name) for name in down.named_data(folder, context.load())))
        confirm(
            _("Delete the data of {folder} (conversations and workflows{names})?", folder=folder.project, names=names)
        )
    began = time.monotonic()
    stopping = _running(context)
    limit = context.timeout(timeout)
    with progress(doing("stop", stopping) if stopping else _("stopping")):
        result = down.take_down(folder, _config(context), limit, everything=everything, volumes=volumes)
    if result.note:
        echo(result.note, err=True)
    if as_json:
        print_json(result.as_json())
    else:
        _show(result, folder, stopping, time.monotonic() - began, volumes=volumes)
    if result.survivors:
        sys.exit(FAILED)


def _config(context: Context) -> Config | UsageError:
    try:
        return context.load()
    except UsageError as error:
        return error


def _running(context: Context) -> list[str]:
    """The names of what runs, in the order in which it stops; none if that is not known."""
    try:
        units = context.client.status().units
    except MikaError:
        return []
    return [unit.name for unit in reversed(units) if unit.is_to_stop]


def _show(result: down.TakenDown, folder: ProjectDir, names: Sequence[str], took: float, *, volumes: bool) -> None:
    containers = result.containers
    if result.survivors:
        reason = describe_survivors(result.survivors)
        echo(_("{text}\n  fix: {fix}", text=reason.text, fix=reason.fix))
        return
    if result.was_running or containers.stopped:
        echo(stopped(names, took, data_stays=bool(folder.stored()) and not volumes))
    else:
        echo(_("nothing is running in {folder}", folder=folder.project.as_posix()))
    if containers.running:
        left = listed(containers.running)
        say(_("left running, since mika did not start them: {names} (`mika down --all` stops them)", names=left))
    if result.swept:
        swept = listed(map(str, result.swept))
        echo(_("stopped {count} left-over processes: {processes}", count=len(result.swept), processes=swept))
    if volumes:
        deleted = listed(result.deleted)
        echo(_("deleted: {what}", what=deleted) if deleted else _("there was no data to delete"))
