"""`mika check`: does the code as it is now fit the open and the latest runs?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from mika.cli.context import Context, json_option, print_json
from mika.cli.kinds import Number, Whole
from mika.cli.names import names
from mika.cli.screen.colours import BAD, GOOD, WAITING, paint
from mika.cli.spelling import say
from mika.errors import FAILED, OK, USAGE, UsageError
from mika.replay.program import Order
from mika.replay.verdict import Verdict
from mika.stack import checking
from mika.wording import _

_COLORS = {"fits": GOOD, "misfit": BAD, "unchecked": WAITING}
_EACH = 1_000_000


@click.command("check")
@click.argument("processes", nargs=-1, metavar="[PROCESS]...", shell_complete=names())
@click.option("--histories", "files", multiple=True, metavar="FILE...", help="Recorded histories; needs no server.")
@click.option("--closed", default=20, show_default=True, type=Whole(0, 1000), help="Latest closed runs.")
@click.option("--open", "most", default=200, show_default=True, type=Whole(0, 100_000), help="Open runs.")
@click.option("--all", "each", is_flag=True, help="Replay each run, not only some of those with the same steps.")
@click.option("--timeout", default=10.0, show_default=True, metavar="S", type=Number(1), help="For each.")
@json_option
@click.pass_obj
def check_command(
    context: Context,
    processes: tuple[str, ...],
    files: tuple[str, ...],
    closed: int,
    most: int,
    each: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Replay open and recent runs with the workflow code as it is now. Nothing polls, nothing is written.

    Exit code 0: all of them fit. 1: one does not, or the code does not start. 2: it could not be checked.
    """
    if files:  # after `--histories`, a shell's *.json
        files += tuple(word for word in processes if word.endswith(".json"))
        processes = tuple(word for word in processes if word not in files)
    histories = tuple(str(path) for path in _existing(files))
    order = Order(do="check", open=most, closed=closed, histories=histories, offline=bool(files))
    if each:
        order = replace(order, seconds=timeout, of_a_shape=_EACH)
    verdicts = checking.check(context.load_started(), context.folder, processes, order, timeout=timeout)
    code = _code(verdicts)
    if as_json:
        print_json({"version": 1, "ok": code == OK, "checks": [verdict.as_json() for verdict in verdicts]})
    elif not verdicts:
        raise UsageError(
            _("no process polls a task queue, as far as the settings say"), _("name one: `mika check NAME`")
        )
    else:
        show(verdicts)
    sys.exit(code)


def show(verdicts: Sequence[Verdict], *, err: bool = False) -> None:
    """The lines of each; `err`: on standard error."""
    for verdict in verdicts:
        for reason in verdict.reasons():
            name = paint(verdict.process, _COLORS[verdict.state])
            say(_("{name}: {text}", name=name, text=reason.text), err=err)
            if reason.fix:
                say("      " + reason.fix, err=err)


def _existing(files: Sequence[str]) -> list[Path]:
    """The absolute paths: the check runs in the folder of its process. Raises UsageError if one is missing."""
    paths = [Path(file).absolute() for file in files]
    for path in paths:
        if not path.is_file():
            raise UsageError(
                _("--histories: {path} is not a file", path=path), _("record one: `mika workflows export ID -o DIR`")
            )
    return paths


def _code(verdicts: Sequence[Verdict]) -> int:
    if any(verdict.state == "misfit" for verdict in verdicts):
        return FAILED
    return USAGE if not verdicts or any(verdict.state == "unchecked" for verdict in verdicts) else OK
