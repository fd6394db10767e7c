"""The whole screen of a Windows console, and its keys."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import msvcrt
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

_OUTPUT = -11  # STD_OUTPUT_HANDLE
_ESCAPES = 0x0004  # ENABLE_VIRTUAL_TERMINAL_PROCESSING
_INTERVAL = 0.05  # s; there is no wait for a key in which Ctrl-C is not lost


class Keys:
    def take(self) -> None:
        """Let the console understand escapes: Windows Terminal does so by itself, cmd does not."""
        if sys.platform == "win32":
            kernel32 = ctypes.windll.kernel32
            handle, mode = kernel32.GetStdHandle(_OUTPUT), ctypes.c_ulong()
            if kernel32.GetConsoleMode(handle, ctypes.byref(mode)):
                kernel32.SetConsoleMode(handle, mode.value | _ESCAPES)

    def give_back(self) -> None:
        """Nothing: keys are not shown while nobody reads a line."""

    def listen(self, pressed: Callable[[str], None]) -> None:
        """Tell of each key in the running event loop."""
        loop = asyncio.get_running_loop()

        def read() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                while not loop.is_closed():
                    time.sleep(_INTERVAL)
                    if sys.platform == "win32" and msvcrt.kbhit():
                        loop.call_soon_threadsafe(pressed, msvcrt.getwch())

        if sys.stdin.isatty():
            threading.Thread(target=read, name="keys", daemon=True).start()


def on_signals(*, end: Callable[[int], None], suspend: Callable[[], None], resized: Callable[[], None]) -> None:
    """Call `end` in the running event loop; there is nothing here that suspends, or tells of another size."""
    del suspend, resized
    loop = asyncio.get_running_loop()

    def ended(number: int, _: FrameType | None) -> None:
        loop.call_soon_threadsafe(end, number)

    signal.signal(signal.SIGINT, ended)
    if sys.platform == "win32":
        signal.signal(signal.SIGBREAK, ended)


def stop_here() -> None:
    """Nothing suspends a process here."""
