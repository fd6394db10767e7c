"""The whole screen of a POSIX terminal, and its keys."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable

if sys.platform == "win32":
    raise ImportError("mika.cli.screen.top_posix does not work on Windows")

import termios

_LOCAL, _INPUT, _CHARACTERS = 3, 0, 6  # places in the list of termios


class Keys:
    """Keys arrive one by one and without an echo. Ctrl-C and Ctrl-Z stay signals; Ctrl-S does not stop the screen."""

    def __init__(self) -> None:
        self._input = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._before: list[int | list[bytes | int]] | None = None

    def take(self) -> None:
        if self._input is None:
            return
        modes = termios.tcgetattr(self._input)
        self._before = self._before or termios.tcgetattr(self._input)
        modes[_LOCAL] &= ~(termios.ICANON | termios.ECHO)
        modes[_INPUT] &= ~termios.IXON
        modes[_CHARACTERS][termios.VMIN], modes[_CHARACTERS][termios.VTIME] = 1, 0
        termios.tcsetattr(self._input, termios.TCSANOW, modes)

    def give_back(self) -> None:
        if self._input is not None and self._before is not None:
            with contextlib.suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(self._input, termios.TCSANOW, self._before)

    def listen(self, pressed: Callable[[str], None]) -> None:
        """Tell of each key in the running event loop; of Ctrl-D when the terminal is gone."""
        if self._input is None:
            return
        loop, file = asyncio.get_running_loop(), self._input

        def read() -> None:
            try:
                data = os.read(file, 4096)
            except OSError:
                data = b""
            if not data:
                loop.remove_reader(file)
            pressed(data.decode("utf-8", "replace") if data else "\x04")

        loop.add_reader(file, read)


def on_signals(*, end: Callable[[int], None], suspend: Callable[[], None], resized: Callable[[], None]) -> None:
    """Call these in the running event loop; `suspend` returns when the process goes on."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end, number)
    loop.add_signal_handler(signal.SIGTSTP, suspend)
    loop.add_signal_handler(signal.SIGWINCH, resized)


def stop_here() -> None:
    """What Ctrl-Z does; returns when the shell lets this process go on."""
    os.kill(os.getpid(), signal.SIGSTOP)
