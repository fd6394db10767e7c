"""`mika down`."""

from __future__ import annotations

import click

from mika import backends
from mika.backends.base import Left
from mika.cli.context import Context, confirm, json_option, print_json
from mika.errors import UsageError
from mika.project.folder import ProjectDir
from mika.stack import waiting
from mika.supervisor.sweep import sweep_if_idle


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
        confirm(f"Delete the data of {folder.project} (conversations and workflows{_named_data(context, folder)})?")
    was_running = waiting.until_down(context.client, context.timeout(timeout))
    swept = [str(process) for process in sweep_if_idle(folder)]
    left = Left()
    deleted: list[str] = []
    try:
        config = context.load()
        backend = backends.last_used(config, folder)
        if backend is not None:
            left = backend.take_down(everything=everything or volumes)
        if volumes and folder.root.is_dir():
            deleted = (backend or backends.make(config, folder)[0]).delete_data()
    except UsageError as error:
        # A broken .env must not keep a stack running; what needs the settings is not done, and that is said.
        if volumes or backends.left_containers(folder):
            raise
        click.echo(f"{error.message}: containers, if any, were not looked at", err=True)
    if as_json:
        result = {"was_running": was_running, "swept": swept, "stopped": left.stopped, "left": left.running}
        print_json({"version": 1, **result, "deleted": deleted})
        return
    click.echo("stopped" if was_running or left.stopped else f"nothing is running in {folder.project}")
    if left.running:
        click.echo(f"left running, since mika did not start them: {', '.join(left.running)} (`mika down --all`)")
    if swept:
        click.echo(f"ended {len(swept)} left-over processes: {', '.join(swept)}")
    if volumes:
        click.echo(f"deleted: {', '.join(deleted)}" if deleted else "there was no data to delete")


def _named_data(context: Context, folder: ProjectDir) -> str:
    """`, NAME, NAME`: the volumes that would go; another folder may have the same."""
    backend = backends.last_used(context.load(), folder)
    return "".join(f", {name}" for name in backend.data()) if backend is not None else ""
