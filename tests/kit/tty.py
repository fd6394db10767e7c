"""A person at a terminal (POSIX): a program with a pty of its own, what it shows, and what is typed."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from tests.kit.machine import DEADLINE, POSIX

if POSIX:
    import fcntl
    import struct
    import termios

    # As a shell starts it: this is the terminal of its session, so Ctrl-C comes as a signal.
    _EXEC = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
    IN_ITS_TERMINAL = (sys.executable, "-S", "-c", _EXEC)

    class Tty:
        """Runs `command` in a terminal of 100 columns and 30 lines; killed at the end of the context.

        `screen`: all that it has written. `modes`: those of the terminal, as they are now.
        """

        def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
            self._master, slave = os.openpty()
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
            self.popen = subprocess.Popen(
                [*IN_ITS_TERMINAL, *command], env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
            )
            os.close(slave)
            self.screen = ""
            self._seen = 0

        def __enter__(self) -> Self:
            return self

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
        ) -> None:
            self.popen.kill()
            self.popen.wait()
            if self._master >= 0:
                os.close(self._master)
            if error is not None:
                error.add_note(f"the terminal shows:\n{self.screen}")

        @property
        def modes(self) -> list[object]:
            return list(termios.tcgetattr(self._master))

        def type(self, text: str) -> None:
            os.write(self._master, text.encode())

        def shows(self, text: str, timeout: float = DEADLINE) -> None:
            """Wait until it shows `text` after what was waited for before."""
            deadline = time.monotonic() + timeout
            while (at := self.screen.find(text, self._seen)) < 0:
                left = deadline - time.monotonic()
                assert left > 0, f"{text!r} is not shown"
                if select.select([self._master], [], [], left)[0]:
                    try:
                        data = os.read(self._master, 65536)
                    except OSError:
                        data = b""
                    assert data, f"it ended without {text!r}"
                    self.screen += data.decode("utf-8", "replace")
            self._seen = at + len(text)

        def hang_up(self) -> None:
            """Close the terminal's window: the kernel tells the leader of its session, which is this program."""
            os.close(self._master)
            self._master = -1

        def ends(self) -> int:
            """Its exit code."""
            with contextlib.suppress(AssertionError):
                if self._master >= 0:
                    self.shows("\0never", 0.2)
            return self.popen.wait(DEADLINE)
