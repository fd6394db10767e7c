"""`mika wait`."""

from __future__ import annotations

import click

from mika.cli.context import Context, json_option, print_json
from mika.cli.language import echo
from mika.cli.names import names as known_names
from mika.stack import waiting
from mika.wording import _, listed


@click.command("wait")
@click.argument("names", nargs=-1, metavar="[PROCESS]...", shell_complete=known_names())
@click.option("--timeout", metavar="S", help="Give up after this many seconds.")
@json_option
@click.pass_obj
def wait_command(context: Context, names: tuple[str, ...], timeout: str | None, as_json: bool) -> None:
    """Return when the stack, or the named processes, are ready."""
    status = waiting.until_ready(context.client, names, context.timeout(timeout))
    if as_json:
        print_json(status.as_json())
    else:
        echo(_("ready: {names}", names=listed(names)) if names else _("ready"))
