"""What a Windows console must be told before it is written to."""

from __future__ import annotations

import ctypes
import sys

if sys.platform != "win32":
    raise ImportError("mika.cli.screen._windows only works on Windows")

_OUTPUTS = (-11, -12)  # standard output and error
_VIRTUAL_TERMINAL = 0x0004


def understand_escapes() -> None:
    """Let it show colours and moves of the cursor, as PowerShell and Windows Terminal's shells may have done already.

    Before the first character: rich looks whether it does, and else writes in Windows' own 16 colours.
    """
    kernel32 = ctypes.windll.kernel32
    for number in _OUTPUTS:
        handle, mode = kernel32.GetStdHandle(number), ctypes.c_ulong()
        if kernel32.GetConsoleMode(handle, ctypes.byref(mode)):
            kernel32.SetConsoleMode(handle, mode.value | _VIRTUAL_TERMINAL)
