"""`mika up`: in this terminal, in the background (-d), or attached to what runs already."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from mika.cli.context import (
    Context,
    Look,
    confirm,
    is_terminal,
    json_option,
    look_option,
    print_json,
    use_color,
)
from mika.cli.keys import can_open_console
from mika.cli.language import echo
from mika.cli.names import of_processes
from mika.cli.screen.view import View
from mika.config.load import Config
from mika.errors import OK, MikaError
from mika.frozen import frozen
from mika.project.event_log import EventReader
from mika.project.folder import ProjectDir
from mika.stack import background
from mika.stack.attach import Attached, StoppedError, wait_for_supervisor
from mika.stack.debugging import check_names
from mika.stack.prepared import Prepared, UpOptions, prepare
from mika.wording import _, joined, listed

if TYPE_CHECKING:
    from mika.cli.waiter import Waiter
    from mika.status import UnitStatus
    from mika.supervisor.unit import Unit


@frozen
class _Wish:
    """What a command line asks for. `words` make the background process ask for the same; `serve`: this is it."""

    options: UpOptions
    look: Look
    words: Sequence[str]
    answers: Sequence[str]
    asks: bool
    detach: bool
    serve: Path | None
    as_json: bool

    @property
    def has_keys(self) -> bool:
        return not (self.detach or self.serve or self.as_json or self.look.plain) and can_open_console()


@click.command("up")
@click.argument("processes", nargs=-1, metavar="[PROCESS]...", shell_complete=of_processes)
@click.option("-d", "--detach", is_flag=True, help="Return when ready; the stack goes on in the background.")
@click.option("--backend", metavar="NAME", help="auto, docker, embedded, external or none.")
@click.option("--timeout", metavar="S", help="Seconds for the whole start (default 120).")
@click.option("--keep-services", is_flag=True, help="Leave containers running at the end.")
@click.option("--watch", is_flag=True, help="Restart a process when its files change.")
@click.option(
    "--debug",
    multiple=True,
    metavar="PROCESS",
    shell_complete=of_processes,
    help="Let a debugger into this process; may be repeated.",
)
@click.option("--yes", is_flag=True, help="Without a Procfile: start what is found, without asking.")
@click.option("--answer", "answers", multiple=True, hidden=True, help="KEY=TEXT: what `up` has asked already.")
@click.option("--serve", metavar="FILE", hidden=True, help="Be the background part of -d; FILE gets the error.")
@click.option("--plain", is_flag=True, help="Lines only: no status line, no keys (for a screen reader).")
@look_option
@json_option
@click.pass_obj
def up_command(
    context: Context,
    processes: tuple[str, ...],
    detach: bool,
    backend: str | None,
    timeout: str | None,
    keep_services: bool,
    watch: bool,
    debug: tuple[str, ...],
    yes: bool,
    answers: tuple[str, ...],
    serve: str | None,
    plain: bool,
    pretty: bool | None,
    as_json: bool,
) -> None:
    """Bring the stack up: services, then processes, each waited for only as long as needed.

    PROCESS may be a name of the Procfile, or NAME=N for N of them; without any, all are started. Ctrl-C stops what this
    command started; a second Ctrl-C forces it. Without a Procfile, mika shows what it finds in the project, and asks
    before it starts that; `mika init` writes it down.
    """
    report = Path(serve) if serve is not None else None
    with background.reported_to(report):
        config = context.load({"MIKA_BACKEND": backend, "MIKA_TIMEOUT": timeout})
        options = UpOptions(processes, config.number("MIKA_TIMEOUT"), keep_services, watch, debug)
        wish = _Wish(
            options,
            Look(pretty, plain=plain or os.environ.get("TERM") == "dumb"),
            words=_same_words(options, backend, timeout),
            answers=answers,
            asks=not (yes or as_json or serve is not None),
            detach=detach,
            serve=report,
            as_json=as_json,
        )
        _up(context, config, wish)


def _up(context: Context, config: Config, wish: _Wish) -> NoReturn:
    """Run the stack, here or in the background, or attach to the one that runs: whatever is possible at this moment."""
    folder = ProjectDir(config.project)
    waiter = _waiter(wish, is_early=True)
    prepared, agreed = _prepare(config, folder, wish, is_running=folder.is_locked())
    # All bad input is found here, before anything is written or started.
    units = prepared.units(wish.options.processes)
    names = [unit.name for unit in units]
    check_names(wish.options.debug, units)
    folder.create()
    deadline = time.monotonic() + wish.options.timeout
    reader = EventReader(folder)
    while True:
        with folder.try_lock() as is_free:
            if is_free and agreed is None:
                prepared, agreed = _prepare(config, folder, wish, is_running=False)
            if is_free and wish.serve is not None:
                _serve(prepared, wish.options, wish.serve)
            if is_free and not wish.detach:
                from mika.cli.foreground import supervise

                waiter = waiter or _waiter(wish, is_early=False)
                quiet = as_json = wish.as_json
                ended = supervise(prepared, wish.options, quiet=quiet, as_json=as_json, look=wish.look, waiter=waiter)
                sys.exit(ended.code)
        if is_free:
            started = background.start(folder, [*(agreed or ()), *wish.words], warn=_warn)
            attached = Attached(context.client, reader, background=started, watches=wish.options.watch)
            sys.exit(_until_ready(attached, config, deadline, wish, names))
        if not wait_for_supervisor(context.client, deadline):
            continue  # it was just stopping, and now it is gone: our turn
        if wish.serve is not None:
            raise MikaError(_("another `mika up` was quicker"), code=background.ALREADY_UP)
        attached = Attached(context.client, reader)
        with contextlib.suppress(StoppedError):  # in this very moment: our turn
            status = attached.start_missing(wish.options.processes)
            break
    is_whole = (config.project / "Procfile").exists() and not wish.options.processes
    note = _already_up(wish.options, _other_processes(units, status.processes) if is_whole else "")
    if wish.detach:
        sys.exit(_until_ready(attached, config, deadline, wish, note=note))
    if wish.as_json:
        print_json(status.as_json())
        sys.exit(OK)
    from mika.cli.stream import stream

    sys.exit(stream(context, attached, status, note, wish.look))


def _waiter(wish: _Wish, *, is_early: bool) -> Waiter | None:
    """Where there is no fork, it is made early: a new process cannot take over a lock, or an answer to a question."""
    if not wish.has_keys:
        return None
    from mika.cli.waiter import FORKS, begin

    return None if is_early and FORKS else begin()


def _warn(text: str) -> None:
    echo(_("mika: {text}", text=text), err=True)


def _prepare(config: Config, folder: ProjectDir, wish: _Wish, *, is_running: bool) -> tuple[Prepared, list[str] | None]:
    """The stack of the Procfile, or else of what is found, and the words that make another `mika up` find the same.

    The words are None if a stack runs already: to attach to it, nothing is asked, so this one must not be started.
    """
    if (config.project / "Procfile").exists():
        return prepare(config, folder), []
    from mika.cli import found
    from mika.detect import written

    if is_running:
        proposal, words = found.look(config, {}), None
    else:
        asks = wish.asks and is_terminal()
        proposal, given = found.settle(config, wish.answers, may_ask=asks)
        words = ["--yes", *(word for answer in given for word in ("--answer", answer))]
        if asks:
            confirm("\n" + _("Start this? (`mika init` writes it down.)"))
    return prepare(written.configured(proposal, config), folder, written.entries(proposal)), words


def _serve(prepared: Prepared, options: UpOptions, report: Path) -> NoReturn:
    """Be the background part of `up -d`, with the lock in hand."""
    if not background.is_wanted(report):
        sys.exit(OK)
    from mika.cli.foreground import supervise

    result = supervise(prepared, options, quiet=True, as_json=False)
    if result.stopped_early:
        raise MikaError(_("it was stopped before it was ready"), _("by `mika down`?"), code="stopped")
    sys.exit(result.code)


def _same_words(options: UpOptions, backend: str | None, timeout: str | None) -> list[str]:
    """The same command line for the background process."""
    given = [("--backend", backend), ("--timeout", timeout), *(("--debug", name) for name in options.debug)]
    flags = [("--keep-services", options.keep_services), ("--watch", options.watch)]
    words = [word for option, value in given if value is not None for word in (option, value)]
    return [*words, *(flag for flag, is_set in flags if is_set), "--", *options.processes]


def _already_up(options: UpOptions, other_processes: str) -> str:
    """What this command does not do for the stack that runs."""
    flags = (("--watch", options.watch), ("--keep-services", options.keep_services))
    ignored = [flag for flag, is_set in flags if is_set]
    if options.debug:
        return _(
            "already up: --debug has no effect on a running stack (`mika restart {names} --debug`)",
            names=" ".join(options.debug),
        )
    if not ignored:
        return other_processes or _("already up: what it was started with stays (other options: `mika down` first)")
    return _(
        "already up: {options} has no effect on a running stack (`mika down` first)",
        options=joined(_(" and "), ignored),
    )


def _other_processes(units: Sequence[Unit], processes: Sequence[UnitStatus]) -> str:
    """In what the running `processes` differ from those of the Procfile as it is now."""
    types, running = {unit.type for unit in units if unit.role == "process"}, {unit.type for unit in processes}
    if new := types - running:
        return _(
            "already up, without {names}: `mika down`, then `mika up` starts what the Procfile has now",
            names=listed(sorted(new)),
        )
    if gone := running - types:
        return _(
            "already up, with {names}, which the Procfile no longer has:"
            " `mika down`, then `mika up` starts what it has now",
            names=listed(sorted(gone)),
        )
    return ""


def _until_ready(
    attached: Attached,
    config: Config,
    deadline: float,
    wish: _Wish,
    names: Sequence[str] = (),
    *,
    note: str = "",
) -> int:
    """Show progress until it is ready; the exit code."""
    from mika.readiness import webhook

    view = View(ProjectDir(config.project).logs, names, color=use_color(), quiet=wish.as_json, plain=wish.look.plain)
    if note:
        view.say(note)
    try:
        status = attached.until_ready(deadline, view.event)
        if status is None:
            view.say(_("all processes have exited"))
            return OK
        has_webhook = not wish.as_json and asyncio.run(webhook.is_among(status.urls, config))
        view.ready(status.addresses, has_webhook=has_webhook)
    except KeyboardInterrupt:
        if attached.is_own:
            view.say(_("stopping"))
            attached.stop_own()
        raise
    finally:
        attached.delete_report()
        view.close()
    if wish.as_json:
        print_json(status.as_json())
    return OK
