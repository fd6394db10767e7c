"""The user's end of the terminal of a process that is being debugged; the guard has the other one. Not on Windows."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from mika.wording import _

if sys.platform != "win32":
    import fcntl
    import termios

    Ended = Literal["left", "closed"]
    """The user has left it, or the guard has closed the connection."""
    LEAVE = 0x1D
    """Ctrl-]"""
    _CHUNK = 64 * 1024  # bytes
    _IN, _OUT = 0, 1  # descriptors
    _INPUT, _LOCAL, _CHARACTERS = 0, 3, 6  # places in the list of termios

    def attach(address: str, when_attached: Callable[[], None]) -> Ended:
        """Connect this terminal to that of the process, until the user leaves or it is closed.

        Raises OSError when there is none. What is typed goes to the process as it is, Ctrl-C included.
        """
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(address)
            greeting, descriptors, _flags, _address = socket.recv_fds(connection, 1, 1)
            if not greeting or not descriptors:
                raise ConnectionResetError(_("it closed the connection"))
            when_attached()
            try:
                with _raw(), _same_size(descriptors[0]):
                    return _relay(connection, descriptors[0])
            finally:
                os.close(descriptors[0])

    def _relay(connection: socket.socket, terminal: int) -> Ended:
        """`terminal` does not block: as long as the process reads nothing, what was typed waits here."""
        typed = b""
        with selectors.DefaultSelector() as selector:
            selector.register(_IN, selectors.EVENT_READ)
            selector.register(connection, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _mask in selector.select(0.05 if typed else None)}
                if connection.fileno() in ready:
                    output = connection.recv(_CHUNK)
                    if not output:
                        return "closed"
                    _write(output)
                if _IN in ready:
                    data, leave, _rest = os.read(_IN, _CHUNK).partition(bytes([LEAVE]))
                    typed += data
                    if leave or not data:  # or this terminal is gone
                        return "left"
                with suppress(BlockingIOError):
                    typed = typed[os.write(terminal, typed) :] if typed else b""

    def _write(data: bytes) -> None:
        while data:
            data = data[os.write(_OUT, data) :]

    @contextmanager
    def _raw() -> Iterator[None]:
        """Each key arrives at once, unchanged and not shown: the other terminal does that. Output stays as it is."""
        before = termios.tcgetattr(_IN)
        mode = termios.tcgetattr(_IN)
        mode[_INPUT] &= ~(termios.BRKINT | termios.ICRNL | termios.INPCK | termios.ISTRIP | termios.IXON)
        mode[_LOCAL] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
        mode[_CHARACTERS][termios.VMIN], mode[_CHARACTERS][termios.VTIME] = 1, 0
        termios.tcsetattr(_IN, termios.TCSADRAIN, mode)
        try:
            yield
        finally:
            termios.tcsetattr(_IN, termios.TCSADRAIN, before)

    @contextmanager
    def _same_size(terminal: int) -> Iterator[None]:
        """The other terminal has the size of this one."""

        def resize(*_signal: object) -> None:
            with suppress(OSError):
                size = fcntl.ioctl(_IN, termios.TIOCGWINSZ, b"\0" * 8)
                fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)

        before = signal.signal(signal.SIGWINCH, resize)
        try:
            resize()
            yield
        finally:
            signal.signal(signal.SIGWINCH, before)
