"""Read keys from a POSIX terminal, one by one and without an echo. Ctrl-C, Ctrl-Z and Ctrl-S stay what they are."""

from __future__ import annotations

import codecs
import os
import select
import signal
import sys
import threading

_TICK = 2.0  # s, between two looks whether it is still ours

if sys.platform != "win32":
    import termios

    class Terminal:
        """Standard input. `take` and `give_back` may be called from any thread, as often as one likes.

        After `give_back`, `take` does nothing until `resume`.
        """

        def __init__(self) -> None:
            self._fd = sys.stdin.fileno()
            self._before: list[int | list[bytes | int]] | None = None  # its modes, while it is taken
            self._is_given_back = False
            self._lock = threading.RLock()
            self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

        def is_ours(self) -> bool:
            """Whether this process is in the foreground: in the background, the keys are the shell's."""
            try:
                return os.tcgetpgrp(self._fd) == os.getpgrp()
            except OSError:  # not our terminal, or it is gone
                return False

        def take(self) -> None:
            with self._lock:
                if self._is_given_back:
                    return
                modes = termios.tcgetattr(self._fd)
                if self._before is None:
                    self._before = termios.tcgetattr(self._fd)
                if modes[3] & (termios.ICANON | termios.ECHO):
                    modes[3] &= ~(termios.ICANON | termios.ECHO)
                    modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
                    termios.tcsetattr(self._fd, termios.TCSANOW, modes)  # not TCSADRAIN: the terminal may be stopped

        def give_back(self) -> None:
            """As it was. In the background its modes are the shell's already, and to change them would stop us."""
            with self._lock:
                if self._before is not None and self.is_ours():
                    termios.tcsetattr(self._fd, termios.TCSANOW, self._before)
                self._before = None
                self._is_given_back = True

        def resume(self) -> None:
            self._is_given_back = False

        def prepare_thread(self) -> None:
            """In the thread that reads: if the shell takes the terminal just then, reading fails and stops nobody."""
            signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTTIN, signal.SIGTTOU))

        def read(self) -> str:
            """What was typed; empty after a moment without a key. Raises OSError if the terminal is gone."""
            if not select.select([self._fd], [], [], _TICK)[0] or not self.is_ours():
                return ""
            data = os.read(self._fd, 4096)
            if not data:
                raise OSError("the terminal was closed")
            return self._decoder.decode(data)
