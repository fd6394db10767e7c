"""`mika wait`."""

from __future__ import annotations

import time

import click

from mika.cli.context import Context, json_option, print_json
from mika.cli.language import echo
from mika.cli.names import names as known_names
from mika.stack import waiting
from mika.wording import _, listed

_UNSAID = 1.0
"""Seconds after which it is said that nothing runs yet."""


@click.command("wait")
@click.argument("names", nargs=-1, metavar="[PROCESS]...", shell_complete=known_names())
@click.option("--timeout", metavar="S", help="Give up after this many seconds.")
@json_option
@click.pass_obj
def wait_command(context: Context, names: tuple[str, ...], timeout: str | None, as_json: bool) -> None:
    """Return when the stack, or the named processes, are ready."""
    began, seconds = time.monotonic(), context.timeout(timeout)
    patience = min(seconds, waiting.APPEARS)
    if not waiting.appears(context.folder, min(patience, _UNSAID)) and patience > _UNSAID:
        if not as_json:
            text = _("no stack is running here yet: waiting {seconds:.0f} s for one to appear", seconds=patience)
            echo(text, err=True)
        waiting.appears(context.folder, patience - _UNSAID)
    status = waiting.until_ready(context.client, names, seconds, waited=time.monotonic() - began)
    if as_json:
        print_json(status.as_json())
    else:
        echo(_("ready: {names}", names=listed(names)) if names else _("ready"))
