"""`mika mcp`."""

from __future__ import annotations

import sys

import click

from mika.cli.context import END_OF_INPUT, Context
from mika.cli.spelling import say
from mika.mcp.server import serve
from mika.stack.background import own_command
from mika.wording import _


@click.command("mcp")
@click.option("--allow-control", is_flag=True, help="Also restart, start, stop, send and reset.")
@click.pass_obj
def mcp_command(context: Context, allow_control: bool) -> None:
    """Let an agent ask: a server of the Model Context Protocol on standard input and output.

    Without --allow-control it only reads. The agent's program starts it, and ends it by closing its standard input.
    """
    if sys.stdin.isatty():
        told = _("an agent's program starts `mika mcp`, and talks to it here; press {key} to end", key=END_OF_INPUT)
        say(told, err=True)
    instructions = (
        f"The local Temporal stack of {context.project}. Begin with mika_status; when something is wrong or a workflow "
        "hangs, mika_doctor says why, and how to fix it."
    )
    python, *arguments = own_command(["-C", str(context.project)])
    serve([python, "-X", "utf8", *arguments], instructions, control=allow_control)
