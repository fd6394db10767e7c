"""Signals to a program that has taken the whole screen (Windows)."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from types import FrameType


def on_signals(*, end: Callable[[int], None], suspend: Callable[[], None], resized: Callable[[], None]) -> None:
    """Call `end` in the running event loop; nothing here suspends a process, or tells of another size."""
    del suspend, resized
    loop = asyncio.get_running_loop()

    def ended(number: int, _: FrameType | None) -> None:
        loop.call_soon_threadsafe(end, number)

    signal.signal(signal.SIGINT, ended)
    if sys.platform == "win32":
        signal.signal(signal.SIGBREAK, ended)


def stop_here() -> None:
    """Nothing: see `on_signals`."""
