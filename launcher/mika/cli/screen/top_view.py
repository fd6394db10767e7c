"""`mika top` on a terminal, from its first view until the user leaves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time

from mika.cli.screen import top_screen
from mika.cli.screen.top import render
from mika.cli.screen.top_screen import Screen
from mika.stack.looking import Looking

if sys.platform == "win32":
    from mika.cli.screen import top_windows as system
else:
    from mika.cli.screen import top_posix as system

_END = frozenset("qQ\x04")  # Ctrl-D: also, the terminal is gone
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
        self._screen, self._keys = Screen(), system.Keys()
        self._over, self._changed = False, looking.changed

    def take(self) -> None:
        system.on_signals(end=self._end, suspend=self._suspend, resized=self._changed.set)
        self._keys.take()
        self._screen.take()
        self._keys.listen(self._pressed)

    def give_back(self) -> None:
        self._screen.give_back()
        self._keys.give_back()

    async def run(self) -> None:
        while not self._over:
            self._changed.clear()
            columns, lines = top_screen.size()
            self._screen.draw(render(self._looking.overview(), columns, lines, time.strftime("%H:%M:%S")))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST):
                    await self._changed.wait()

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
        self._keys.take()
        self._screen.take()
        self._changed.set()
