"""`mika up`: in this terminal, in the background (-d), or attached to what runs already."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from mika.cli.attach import ALREADY_UP, Attached, spawn_background
from mika.cli.context import Context, json_option, print_json
from mika.cli.screen.view import View, use_color
from mika.errors import INTERRUPTED, MikaError
from mika.events import Bus, StackState
from mika.project.folder import ProjectDir, write_private
from mika.stack import stack
from mika.supervisor.unit import Unit

_SAME_STOP = 1.0
"""Seconds in which a second SIGTERM is the same: `timeout 60 uv run mika up` delivers it twice, and means it once."""


@click.command("up")
@click.argument("processes", nargs=-1, metavar="[PROCESS]...")
@click.option("-d", "--detach", is_flag=True, help="Return when ready; the stack goes on in the background.")
@click.option("--backend", metavar="NAME", help="auto, docker, embedded, external or none.")
@click.option("--timeout", metavar="S", help="Seconds for the whole start (default 120).")
@click.option("--keep-services", is_flag=True, help="Leave containers running at the end.")
@click.option("--watch", is_flag=True, help="Restart a process when its files change.")
@click.option("--serve", metavar="FILE", hidden=True, help="Be the background part of -d; FILE gets the error.")
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
    serve: str | None,
    as_json: bool,
) -> None:
    """Bring the stack up: services, then processes, each waited for only as long as needed.

    PROCESS may be a name of the Procfile, or NAME=N for N of them; without any, all are started. Ctrl-C stops what this
    command started; a second Ctrl-C forces it.
    """
    config = context.load({"MIKA_BACKEND": backend, "MIKA_TIMEOUT": timeout})
    folder = ProjectDir(config.project)
    options = stack.UpOptions(processes, config.number("MIKA_TIMEOUT"), keep_services, watch)
    with _reported_to(serve):
        prepared = stack.prepare(config, folder)
        # All bad input is found here, before anything is written or started.
        units = prepared.units(processes)
        names = [unit.name for unit in units]
        folder.create()
        deadline = time.monotonic() + options.timeout
        while True:
            with folder.try_lock() as free:
                if free and not detach:
                    code, too_early = _run(prepared, options, units, quiet=bool(serve) or as_json, as_json=as_json)
                    if serve and too_early:
                        raise MikaError("it was stopped before it was ready", "by `mika down`?", code="stopped")
                    sys.exit(code)
            if free:
                again = _again(processes, backend, timeout, keep_services=keep_services, watch=watch)
                attached = spawn_background(context, config, again, names, quiet=as_json)
                break
            attached = Attached(context, config, quiet=as_json)
            if attached.wait_for_supervisor(deadline):
                if serve:
                    raise MikaError("another `mika up` was quicker", code=ALREADY_UP)
                attached.revive(processes)
                break
            # It was just stopping, and now it is gone: our turn.
    sys.exit(attached.until_ready(deadline, as_json=as_json) if detach else attached.stream())


@contextlib.contextmanager
def _reported_to(path: str | None) -> Iterator[None]:
    """In the background nobody reads standard error: the failure goes to a file that the parent reads."""
    try:
        yield
    except Exception as error:
        if path is None:
            raise
        known = (
            error
            if isinstance(error, MikaError)
            else MikaError(f"unexpected {type(error).__name__}: {error}", code="internal")
        )
        if Path(path).exists():  # else the parent has gone
            write_private(Path(path), json.dumps({"message": known.message, "hint": known.hint, "code": known.code}))
        sys.exit(known.exit_code)


def _again(
    processes: tuple[str, ...], backend: str | None, timeout: str | None, *, keep_services: bool, watch: bool
) -> list[str]:
    """The same command line for the background process."""
    given = [("--backend", backend), ("--timeout", timeout)]
    flags = [("--keep-services", keep_services), ("--watch", watch)]
    words = [word for option, value in given if value is not None for word in (option, value)]
    return [*words, *(flag for flag, is_set in flags if is_set), "--", *processes]


def _run(
    prepared: stack.Prepared, options: stack.UpOptions, units: list[Unit], *, quiet: bool, as_json: bool
) -> tuple[int, bool]:
    """Be the supervisor, in this process. The exit code, and whether somebody stopped it before it was ready."""
    names = [unit.name for unit in units]
    logged = [unit.name for unit in units if unit.kind != "container"]
    view = View(prepared.folder.logs, names, color=use_color(), quiet=quiet, logged=logged)
    bus = Bus()
    bus.subscribe(lambda event: view.event(event.as_dict()))
    running = stack.Stack(prepared, options, bus)
    interrupted = False

    def on_ready(state: Any) -> None:
        if isinstance(state, StackState) and state.state == "ready":
            ready()

    shown = False

    def ready() -> None:
        nonlocal shown
        if shown:
            return
        shown = True
        view.ready(running.status())
        if as_json:
            print_json(running.status())
        elif not quiet:
            view.show_logs()

    async def main() -> int:
        nonlocal interrupted
        asked = float("-inf")

        def on_signal(signum: int) -> None:
            nonlocal interrupted, asked
            if signum == signal.SIGTERM and time.monotonic() - asked < _SAME_STOP:
                return
            asked = time.monotonic()
            interrupted = interrupted or signal.Signals(signum).name in ("SIGINT", "SIGBREAK")
            view.say("stopping at once" if running.stopping else "stopping (Ctrl-C again forces it)")
            running.request_stop()

        with _signals(on_signal):
            return await running.run()

    bus.subscribe(on_ready)
    try:
        code = asyncio.run(main())
    finally:
        view.close()
    return INTERRUPTED if interrupted else code, running.stopping and not shown


@contextlib.contextmanager
def _signals(handler: Callable[[int], None]) -> Any:
    """Hand stop signals to `handler` on the event loop; works on Windows too, which has no add_signal_handler."""
    loop = asyncio.get_running_loop()
    names = ["SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"]
    wanted = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.signal(number, lambda n, _: loop.call_soon_threadsafe(handler, n)) for number in wanted}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
