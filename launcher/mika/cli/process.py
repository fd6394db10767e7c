"""`mika restart`, `mika stop`, `mika start`: one process of a running stack."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from mika.cli.context import Context, confirm, is_terminal, json_option, print_json
from mika.cli.language import echo
from mika.cli.names import names as known_names
from mika.cli.screen.progress import doing, progress
from mika.cli.spelling import say
from mika.control.requests import Verb
from mika.errors import MikaError, UsageError
from mika.quoting import command_line
from mika.stack import waiting
from mika.status import StackStatus
from mika.wording import _, listed

if TYPE_CHECKING:
    from mika.replay.verdict import Verdict

_names = click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=known_names())
_timeout = click.option("--timeout", metavar="S", help="Give up waiting after this many seconds.")


@click.command("restart")
@_names
@_timeout
@click.option("--force", is_flag=True, help="Do not check whether the new code fits the open runs.")
@click.option("--debug", is_flag=True, help="Let a debugger in, until the next restart.")
@json_option
@click.pass_obj
def restart_command(
    context: Context, names: tuple[str, ...], timeout: str | None, force: bool, debug: bool, as_json: bool
) -> None:
    """Stop gracefully, start again with a fresh budget, and return when ready. Revives one that gave up.

    What has changed in `.env`, mika.toml, pyproject.toml or the Procfile is taken.

    A worker's new code is checked first, as `mika check` does: if open runs would not go on with it, mika asks.
    """
    if not force:
        again = ["restart", *names, "--force", *(["--debug"] if debug else [])]
        _check_first(context, names, f"`mika {command_line(again)}`", as_json=as_json)
    if debug:
        _debug(context, names, timeout, as_json=as_json)
    else:
        _tell(context, "restart", names, timeout, as_json=as_json)


def _debug(context: Context, names: tuple[str, ...], timeout: str | None, *, as_json: bool) -> None:
    from mika.stack import debugging

    limit = context.timeout(timeout)
    units, notes = context.client.debug(names)
    with progress(doing("restart", units)):
        status = waiting.until_ready(context.client, units, limit)
    if as_json:
        print_json(status.as_json())
        return
    for name in units:
        for line in debugging.wait_for_report(context.folder, name):
            say(_("{name}: {text}", name=name, text=line))
    for note in notes:
        say(note)
    echo(_("ready: {names}", names=listed(units)))


def _check_first(context: Context, names: tuple[str, ...], forced: str, *, as_json: bool) -> None:
    """Return if nothing speaks against the new code, or after a yes. Raises MikaError, with the command `forced`."""
    units = [unit for name in names for unit in context.client.status().matching(name)]
    workers = sorted({unit.type for unit in units if unit.pid and unit.address.startswith("worker:")})
    if not workers:  # nothing that checks is imported: this command must be quick
        return
    from mika.cli import check
    from mika.stack import checking

    try:
        verdicts = checking.check_running(context.load_started(), context.folder, workers)
    except UsageError as error:  # a mistake in the settings: what restarts keeps those that it has, and must restart
        text = _("{names}: the new code was not checked: {why}", names=listed(workers), why=error.message)
        say(text, err=True)
        return
    if not as_json:
        check.show([verdict for verdict in verdicts if verdict.state != "fits"], err=True)
    refusing = [verdict for verdict in verdicts if verdict.refuses]
    if not refusing:
        return
    if as_json or not is_terminal():
        raise MikaError(
            _refusal(refusing) if as_json else _("not restarted: the new code does not fit"),
            _("{command} does not check it", command=forced),
            code="misfit",
        )
    confirm(_("Restart all the same?"))


def _refusal(verdicts: Sequence[Verdict]) -> str:
    """With the worst reason of each process: nothing else of this output says it."""
    return "; ".join(
        _("{name}: not restarted: {reason}", name=verdict.process, reason=next(verdict.reasons()).text)
        for verdict in verdicts
    )


@click.command("start")
@_names
@_timeout
@json_option
@click.pass_obj
def start_command(context: Context, names: tuple[str, ...], timeout: str | None, as_json: bool) -> None:
    """Start what was stopped, has exited or gave up, and return when ready."""
    _tell(context, "start", names, timeout, as_json=as_json)


@click.command("stop")
@_names
@_timeout
@json_option
@click.pass_obj
def stop_command(context: Context, names: tuple[str, ...], timeout: str | None, as_json: bool) -> None:
    """Stop gracefully; it stays stopped until `mika start` or the next `mika up`."""
    _tell(context, "stop", names, timeout, as_json=as_json)


def _tell(context: Context, verb: Verb, names: tuple[str, ...], timeout: str | None, *, as_json: bool) -> None:
    limit = context.timeout(timeout)
    client = context.client
    began = time.monotonic()
    units, notes = client.control(verb, names)
    for note in notes:
        say(note, err=True)
    with progress(doing(verb, units)):
        if verb == "stop":
            status = waiting.until_stopped(client, units, limit)
        else:
            status = waiting.until_ready(client, units, limit)
    if as_json:
        print_json(status.as_json())
    else:
        for line in _reached(verb, units, status, time.monotonic() - began):
            echo(line)


def _reached(verb: Verb, units: Sequence[str], status: StackStatus, seconds: float) -> Iterator[str]:
    if verb == "stop":
        yield _("stopped: {names} ({seconds:.1f} s)", names=listed(units), seconds=seconds)
        return
    done = [name for name in units if (unit := status.unit(name)) is not None and unit.is_done]
    if ready := [name for name in units if name not in done]:
        yield _("ready: {names} ({seconds:.1f} s)", names=listed(ready), seconds=seconds)
    if done:
        yield _("done, with exit code 0: {names} ({seconds:.1f} s)", names=listed(done), seconds=seconds)
