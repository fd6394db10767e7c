"""Signals to a program that has taken the whole screen (POSIX)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable

if sys.platform == "win32":
    raise ImportError("mika.cli.screen.top._posix does not work on Windows")


def on_signals(*, end: Callable[[int], None], suspend: Callable[[], None], resized: Callable[[], None]) -> None:
    """Call these in the running event loop; `suspend` is to call `stop_here` in between."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end, number)
    loop.add_signal_handler(signal.SIGTSTP, suspend)
    loop.add_signal_handler(signal.SIGWINCH, resized)


def stop_here() -> None:
    """What Ctrl-Z does; returns when the shell lets this process go on."""
    os.kill(os.getpid(), signal.SIGSTOP)
