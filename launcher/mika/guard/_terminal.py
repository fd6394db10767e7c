"""A terminal for a service that is being debugged (Linux, macOS): a pty, and the socket at which `mika attach` gets it.

A client receives the descriptor of the pty itself, so it types and sets the size without the guard. What the service
writes the guard reads, for the log; it passes a copy on to the client, and never waits for it.
"""

from __future__ import annotations

import os
import socket
import sys
import termios

from mika.guard.lean import suppress

if sys.platform == "win32":
    raise ImportError("mika.guard._terminal does not work on Windows")

_RECENT = 4096  # bytes of output that a new client is shown: the prompt that waits for it is there already
_INPUT, _OUTPUT = 0, 1  # places in the list of termios


class Terminal:
    """Only one client at a time: the newest one."""

    def __init__(self, address: str) -> None:
        self.master, self.service_end = os.openpty()
        mode = termios.tcgetattr(self.service_end)
        mode[_INPUT] &= ~termios.IXON  # Ctrl-S must not hold up the service, with nobody there to press Ctrl-Q
        mode[_OUTPUT] &= ~termios.ONLCR  # the log has plain line ends
        termios.tcsetattr(self.service_end, termios.TCSANOW, mode)
        self.listener = _listen(address)
        self._address = address
        self._client: socket.socket | None = None
        self._recent = b""

    def accept(self) -> None:
        """Serve a client that has connected. It is sent one byte with the descriptor, then output."""
        with suppress(OSError):
            client, _ = self.listener.accept()
            self._drop()
            client.setblocking(False)
            self._client = client
            socket.send_fds(client, [b"\0"], [self.master])
            self._pass_on(self._recent)

    def show(self, data: bytes) -> None:
        """Pass output on."""
        self._recent = (self._recent + data)[-_RECENT:]
        self._pass_on(data)

    def close(self) -> None:
        self._drop()
        self.listener.close()
        with suppress(OSError):
            os.unlink(self._address)  # noqa: PTH108 - see segments.py

    def _pass_on(self, data: bytes) -> None:
        if self._client is None or not data:
            return
        try:
            self._client.send(data)  # what a slow client does not take, it does not see; the log has it
        except BlockingIOError:
            pass
        except OSError:
            self._drop()

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _listen(address: str) -> socket.socket:
    """A socket that only this user can reach."""
    with suppress(FileNotFoundError):
        os.unlink(address)  # noqa: PTH108 - of a guard that was killed
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(address)
    finally:
        os.umask(before)
    listener.listen()
    listener.setblocking(False)
    return listener
