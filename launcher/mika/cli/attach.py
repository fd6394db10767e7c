"""`mika attach`: the terminal of one process that was started with `--debug`."""

from __future__ import annotations

import sys
import time

import click

from mika.cli.context import Context
from mika.cli.names import names
from mika.control.address import terminal_address
from mika.errors import MikaError, UsageError
from mika.status import UnitStatus
from mika.text import unknown_name

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
        raise MikaError("on Windows a process has no terminal of its own", "attach an editor: debugpy works there")
    else:  # noqa: RET506 - mypy looks at one of the two
        from mika.control import terminal

        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UsageError("`mika attach` needs a terminal", "run it in one, without a pipe")
        click.echo(f"attached to {unit.name} (pid {unit.pid}): Ctrl-] leaves, Ctrl-C goes to the process", err=True)
        try:
            ended = terminal.attach(terminal_address(context.folder.project, unit.name))
        except (FileNotFoundError, ConnectionError):
            raise MikaError(
                f"{unit.name} has no terminal: it was not started for debugging",
                f"`mika restart {unit.name} --debug`",
                code="no_terminal",
            ) from None
        click.echo(err=True)
        if ended == "left":
            click.echo(f"left: {unit.name} goes on", err=True)
        elif _goes_on(context, unit):
            click.echo(f"left: another terminal has attached to {unit.name}", err=True)
        else:
            click.echo(f"{unit.name} has ended", err=True)


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
        raise unknown_name("process", name, [unit.name for unit in status.processes])
    running = [unit for unit in found if unit.pid]
    if not running:
        raise MikaError(
            f"{name} is not running ({found[0].state})", f"`mika restart {name} --debug`", code="no_terminal"
        )
    if len(running) > 1:
        raise UsageError(f"there are several {name}", f"give one of {', '.join(unit.name for unit in running)}")
    return running[0]
