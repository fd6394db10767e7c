"""`mika attach`: the terminal of one process that was started with `--debug`."""

from __future__ import annotations

import sys
import time

import click

from mika.cli.context import Context
from mika.cli.language import echo
from mika.cli.names import names
from mika.cli.screen.table import state_word
from mika.control.address import terminal_address
from mika.errors import MikaError, UsageError
from mika.status import UnitStatus
from mika.text import unknown_name
from mika.wording import _, listed

_END_SECONDS = 0.5
"""How long after its terminal was closed a process may need to end."""


@click.command("attach")
@click.argument("name", shell_complete=names())
@click.pass_obj
def attach_command(context: Context, name: str) -> None:
    """The terminal of a process that was started with --debug: for `breakpoint()`, or any program that asks something.

    Ctrl-] leaves, and so does closing this terminal; the process goes on. Ctrl-C goes to the process. The newest
    terminal that attaches has it.
    """
    unit = _one(context, name)
    if sys.platform == "win32":
        raise MikaError(
            _("on Windows a process has no terminal of its own"), _("attach an editor: debugpy works there")
        )
    else:  # noqa: RET506 - mypy looks at one of the two
        from mika.control import terminal

        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UsageError(_("`mika attach` needs a terminal"), _("run it in one, without a pipe"))
        attached = _(
            "attached to {name} (pid {pid}): Ctrl-] leaves, Ctrl-C goes to the process", name=unit.name, pid=unit.pid
        )
        address = terminal_address(context.folder.project, unit.name)
        try:
            ended = terminal.attach(address, lambda: echo(attached, err=True))
        except (FileNotFoundError, ConnectionError):
            raise MikaError(
                _("{name} has no terminal: it was not started for debugging", name=unit.name),
                _("`mika restart {name} --debug`", name=unit.name),
                code="no_terminal",
            ) from None
        echo(err=True)
        if ended == "left":
            echo(_("left: {name} goes on", name=unit.name), err=True)
        elif _goes_on(context, unit):
            echo(_("left: another terminal has attached to {name}", name=unit.name), err=True)
        else:
            echo(_("{name} has ended", name=unit.name), err=True)


def _goes_on(context: Context, unit: UnitStatus) -> bool:
    """Whether it runs still, or perhaps only is about to end."""
    time.sleep(_END_SECONDS)
    try:
        return any(now.pid == unit.pid for now in context.client.status().matching(unit.name))
    except MikaError:
        return False


def _one(context: Context, name: str) -> UnitStatus:
    """The running process of that name."""
    status = context.client.status()
    found = [unit for unit in status.matching(name) if unit.role == "process"]
    if not found:
        raise unknown_name(_("process"), name, [unit.name for unit in status.processes])
    running = [unit for unit in found if unit.pid]
    if not running:
        raise MikaError(
            _("{name} is not running ({state})", name=name, state=state_word(found[0])),
            _("`mika restart {name} --debug`", name=name),
            code="no_terminal",
        )
    if len(running) > 1:
        raise UsageError(
            _("there are several {name}", name=name),
            _("give one of {names}", names=listed(unit.name for unit in running)),
        )
    return running[0]
