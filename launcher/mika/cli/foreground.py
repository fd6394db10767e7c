"""Be the supervisor in this process, with what a terminal needs: its signals, and a view of what happens."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from mika.cli.context import Look, make_pretty, print_json, use_color
from mika.cli.keys import DETACHED, Ends, open_console
from mika.cli.screen.progress import stopped
from mika.cli.screen.view import View
from mika.errors import INTERRUPTED
from mika.events import Bus, Event, StackChanged, Started
from mika.frozen import frozen
from mika.stack import stack
from mika.stack.attach import SAME_INTERRUPT
from mika.stack.prepared import Prepared, UpOptions
from mika.wording import _

if TYPE_CHECKING:
    from mika.cli.keys.console import Console
    from mika.cli.waiter import Waiter

_SAME_STOP = {"SIGTERM": 1.0, "SIGHUP": 1.0, "SIGINT": SAME_INTERRUPT}
"""Seconds in which one more of these is the same: `timeout 60 uv run mika up` delivers it twice, and means it once. So
does what is sent to a whole process group, as the waiter passes it on, and one Ctrl-C at a console of Wine may come
twice. Nobody presses it twice in a fifth of a second."""


@frozen
class Supervised:
    """How a run ended. `stopped_early`: somebody stopped it before it was ready."""

    code: int
    stopped_early: bool


_AS_USUAL = Look()


def supervise(
    prepared: Prepared,
    options: UpOptions,
    *,
    quiet: bool,
    as_json: bool,
    look: Look = _AS_USUAL,
    waiter: Waiter | None = None,
) -> Supervised:
    """Run the stack until it ends. The caller holds the project's lock. With a `waiter` there are keys."""
    return _Foreground(prepared, options, look, waiter, quiet=quiet, as_json=as_json).run()


class _Foreground:
    def __init__(
        self,
        prepared: Prepared,
        options: UpOptions,
        look: Look,
        waiter: Waiter | None,
        *,
        quiet: bool,
        as_json: bool,
    ) -> None:
        units = prepared.units(options.processes)
        names = [unit.name for unit in units]
        logged = [unit.name for unit in units if unit.kind != "container"]
        self._quiet, self._as_json = quiet, as_json
        self._config, self._folder = prepared.config, prepared.folder
        self._showing: asyncio.Task[None] | None = None
        self._view = View(
            prepared.folder.logs,
            names,
            color=use_color(),
            pretty=make_pretty(look.pretty, names, prepared.config.project),
            quiet=quiet or as_json,
            logged=logged,
            plain=look.plain,
        )
        self._waiter = waiter
        self._console: Console | None = None
        self._detaching: asyncio.Task[None] | None = None
        bus = Bus()
        bus.subscribe(self._view.event)
        bus.subscribe(self._on_event)
        self._stack = stack.Stack(prepared, options, bus)
        # Where nothing is probed there is no start to watch: their output is what the user waits for.
        self._shows_logs_at_once = all(unit.address == "none" for unit in units) and not (quiet or as_json)
        self._was_ready = self._interrupted = False
        self._stop_asked_at = float("-inf")
        self._stopping_since = 0.0  # if somebody asked for it
        self._to_stop: list[str] = []  # what ran when the stop began

    def run(self) -> Supervised:
        try:
            code = asyncio.run(self._run())
            if self._stopping_since:
                took = time.monotonic() - self._stopping_since
                self._view.say(stopped(self._to_stop, took, data_stays=bool(self._folder.stored())))
        finally:
            if self._console is not None:
                self._console.close()
            self._view.close()
        return Supervised(
            INTERRUPTED if self._interrupted else code, stopped_early=self._stack.stopping and not self._was_ready
        )

    async def _run(self) -> int:
        with _signals(self._on_signal):
            code = await self._stack.run()
        for task in (self._showing, self._detaching):
            if task is not None:
                await task  # within a second; an error in it must not get lost
        return code

    def _on_event(self, event: Event) -> None:
        if self._shows_logs_at_once and isinstance(event, Started):
            self._shows_logs_at_once = False
            self._show_logs()
        if isinstance(event, StackChanged) and event.state == "stopping" and self._stack.stopping:
            self._stopping_since = self._stopping_since or time.monotonic()
            self._to_stop = [unit.name for unit in reversed(self._stack.status().units) if unit.is_to_stop]
        if self._console is not None:
            self._console.changed()
        if self._was_ready or not (isinstance(event, StackChanged) and event.state == "ready"):
            return
        self._was_ready = True
        if self._as_json:
            self._view.ready({})
            print_json(self._stack.status().as_json())
        else:
            self._showing = asyncio.create_task(self._show_ready())

    async def _show_ready(self) -> None:
        try:
            from mika.readiness import webhook

            status = self._stack.status()
            has_webhook = not self._quiet and await webhook.is_among(status.urls, self._config)
            self._view.ready(status.addresses, has_webhook=has_webhook)
        finally:
            if not self._quiet:
                self._show_logs()

    def _show_logs(self) -> None:
        self._view.show_logs()
        if self._waiter is not None and self._console is None and self._detaching is None:
            ends = Ends(
                stop=self._from_a_key(lambda: self._on_signal(signal.SIGINT)),
                detach=self._from_a_key(self._begin_to_detach) if self._waiter.can_leave else None,
                is_own=True,
            )
            self._console = open_console(self._view, self._folder, lambda: self._config, ends)

    @staticmethod
    def _from_a_key(action: Callable[[], None]) -> Callable[[], None]:
        """For the thread that reads the keys: it is done in this one."""
        loop = asyncio.get_running_loop()

        def later() -> None:
            loop.call_soon_threadsafe(action)

        return later

    def _begin_to_detach(self) -> None:
        if self._detaching is not None or self._waiter is None or self._stack.stopping:
            return
        self._detaching = asyncio.create_task(self._detach(self._waiter))

    @property
    def _is_detaching(self) -> bool:
        return self._detaching is not None and not self._detaching.done()

    async def _detach(self, waiter: Waiter) -> None:
        """Leave the terminal to the shell, and go on as after `mika up -d`."""
        if self._console is not None:
            self._console.close()
            self._console = None
        waiter.leave_group()
        self._view.say(DETACHED)
        await asyncio.to_thread(self._view.close, at_once=True)  # the terminal may be stopped
        waiter.leave()

    def _on_signal(self, signum: int) -> None:
        name = signal.Signals(signum).name
        if time.monotonic() - self._stop_asked_at < _SAME_STOP.get(name, 0):
            return
        if self._is_detaching and name in ("SIGINT", "SIGHUP"):  # the terminal is about to be somebody else's
            return
        self._stop_asked_at = time.monotonic()
        self._stopping_since = self._stopping_since or self._stop_asked_at
        self._interrupted = self._interrupted or name in ("SIGINT", "SIGBREAK")
        if self._stack.stopping:
            self._view.say(_("stopping at once"))
        elif self._console is not None:
            self._view.say(_("stopping (Ctrl-C or q again forces it)"))
        else:
            self._view.say(_("stopping (Ctrl-C again forces it)"))
        self._stack.request_stop(force=self._stack.stopping)


@contextlib.contextmanager
def _signals(handler: Callable[[int], None]) -> Iterator[None]:
    """Hand stop signals to `handler` on the event loop; works on Windows too, which has no add_signal_handler."""
    loop = asyncio.get_running_loop()
    names = ["SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"]
    wanted = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # A hang-up that is ignored already stays so: that is what `nohup mika up &` asks for.
    wanted = [number for number in wanted if signal.Signals(number).name != "SIGHUP" or not _is_ignored(number)]
    before = {
        number: signal.signal(number, lambda n, _frame: loop.call_soon_threadsafe(handler, n)) for number in wanted
    }
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _is_ignored(number: int) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN
