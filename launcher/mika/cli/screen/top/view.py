"""`mika top` on a terminal, from its first view until the user leaves."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import sys
import threading
import time

from mika.cli.screen.top.render import render
from mika.cli.screen.top.screen import Screen, size
from mika.stack.looking import Looking

if sys.platform == "win32":
    from mika.cli.keys._windows import Terminal
    from mika.cli.screen.top import _windows as system
else:
    from mika.cli.keys._posix import Terminal
    from mika.cli.screen.top import _posix as system

_END = frozenset("qQ\x04")  # Ctrl-D stands for a terminal that is gone, too
_BACKGROUND_INTERVAL = 0.25  # s
_LONGEST = 1.0
"""Seconds after which it is drawn again, whatever happens: times go on."""


async def follow(looking: Looking) -> None:
    """Draw until the user leaves."""
    view = _View(looking)
    looks = asyncio.create_task(looking.run())
    try:
        view.take()
        await view.run()
    finally:
        view.give_back()
        looks.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looks
    if view.signal not in (None, signal.SIGINT):
        signal.signal(view.signal, signal.SIG_DFL)
        os.kill(os.getpid(), view.signal)


class _View:
    """The terminal, from `take` to `give_back`. `signal`: what ended it, if a signal did."""

    def __init__(self, looking: Looking) -> None:
        self.signal: int | None = None
        self._looking = looking
        self._screen, self._terminal = Screen(), Terminal()
        self._over, self._changed = False, looking.changed

    def take(self) -> None:
        system.on_signals(end=self._end, suspend=self._suspend, resized=self._changed.set)
        self._terminal.take()  # in the background, the shell stops us here
        self._screen.take()
        reader = functools.partial(self._read, asyncio.get_running_loop())
        threading.Thread(target=reader, name="keys", daemon=True).start()

    def give_back(self) -> None:
        self._screen.give_back()
        self._terminal.give_back()

    async def run(self) -> None:
        while not self._over:
            self._changed.clear()
            columns, lines = size()
            self._screen.draw(render(self._looking.overview(), columns, lines, time.strftime("%H:%M:%S")))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST):
                    await self._changed.wait()

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread of its own."""
        self._terminal.prepare_thread()
        with contextlib.suppress(RuntimeError):  # the loop is closed
            while not self._over:
                if not self._terminal.is_ours():
                    time.sleep(_BACKGROUND_INTERVAL)
                    continue
                try:
                    keys = self._terminal.read()
                except OSError:
                    keys = "\x04"
                if keys:
                    loop.call_soon_threadsafe(self._pressed, keys)

    def _pressed(self, keys: str) -> None:
        if _END.intersection(keys):
            self._over = True
            self._changed.set()

    def _end(self, number: int) -> None:
        self.signal, self._over = number, True
        self._changed.set()

    def _suspend(self) -> None:
        self.give_back()
        system.stop_here()
        self._terminal.resume()
        self._terminal.take()
        self._screen.take()
        self._changed.set()
