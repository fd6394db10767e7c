"""`mika top`: the running stack at one glance, drawn again and again."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from mika.cli.context import Context, json_option, print_json
from mika.cli.language import echo
from mika.cli.screen.top import screen
from mika.cli.status import running_status

if TYPE_CHECKING:
    from mika.stack.looking import Looking

_WORKFLOWS = 40
"""How many of the latest are looked at: more fit only on a very high screen."""
_ENDLESS = 10_000  # columns and lines of what is not a terminal


@click.command("top")
@json_option
@click.pass_obj
def top_command(context: Context, as_json: bool) -> None:
    """Processes, task queues and the latest workflows at one glance, drawn again every second or two.

    q or Ctrl-C ends it. What is not a terminal gets one view.
    """
    show(context, as_json=as_json)


def show(context: Context, *, as_json: bool = False) -> None:
    """Raises NotRunningError when no stack runs at the beginning; later it says so, and looks on."""
    if not as_json and screen.can_be_taken():
        with contextlib.suppress(KeyboardInterrupt):
            _follow(context)
        return
    running_status(context)
    import asyncio

    from mika.cli.screen.top.render import render

    overview = asyncio.run(_looking(context).once())
    if as_json:
        print_json(overview.as_json())
    else:
        echo("\n".join(render(overview, _ENDLESS, _ENDLESS)))


def _follow(context: Context) -> None:
    running_status(context)  # before anything that takes long to import
    import asyncio

    from mika.cli.screen.top.view import follow

    asyncio.run(follow(_looking(context)))


def _looking(context: Context) -> Looking:
    from mika.stack.looking import Looking

    return Looking(context.folder, context.load_started, workflows=_WORKFLOWS)
