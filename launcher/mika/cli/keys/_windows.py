"""Read keys from a Windows console."""

from __future__ import annotations

import ctypes
import msvcrt
import sys
import time

_TICK = 0.25  # s
_INTERVAL = 0.05  # s; the console has no wait for one key that Ctrl-C does not get lost in
_STDOUT = -11
_VIRTUAL_TERMINAL = 0x0004
_PREFIXES = ("\x00", "\xe0")  # of arrows and function keys

if sys.platform == "win32":

    class Terminal:
        """The console's keys."""

        def is_ours(self) -> bool:
            return True  # there are no background jobs

        def take(self) -> None:
            """Let the console understand escapes, as Windows Terminal does by itself and cmd does not."""
            kernel32 = ctypes.windll.kernel32
            handle, mode = kernel32.GetStdHandle(_STDOUT), ctypes.c_ulong()
            if kernel32.GetConsoleMode(handle, ctypes.byref(mode)) and not mode.value & _VIRTUAL_TERMINAL:
                kernel32.SetConsoleMode(handle, mode.value | _VIRTUAL_TERMINAL)

        def give_back(self) -> None:
            """Nothing: keys are not echoed while nobody reads a line."""

        def resume(self) -> None:
            """Nothing, as nothing was given back."""

        def prepare_thread(self) -> None:
            """Nothing to prepare."""

        def read(self) -> str:
            """What was typed; empty after a moment without a key."""
            deadline = time.monotonic() + _TICK
            while time.monotonic() < deadline:
                if msvcrt.kbhit():
                    key = msvcrt.getwch()
                    if key in _PREFIXES:
                        msvcrt.getwch()
                        return ""
                    return key
                time.sleep(_INTERVAL)
            return ""
