"""One exchange over a Unix socket. It is blocking, because importing asyncio would slow down short commands."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable

from mika.wording import _

if sys.platform != "win32":

    def exchange(address: str, request_for: Callable[[bytes], bytes], limit: int, timeout: float) -> bytes:
        """Read the greeting, send `request_for(greeting)`, and return the answer. Each is one line.

        Raises OSError (TimeoutError after `timeout` seconds), and ValueError for an answer of more than `limit` bytes.
        """
        deadline = time.monotonic() + timeout
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(address)
            greeting = _read_line(connection, limit, deadline)
            connection.sendall(request_for(greeting))
            return _read_line(connection, limit, deadline)

    def _read_line(connection: socket.socket, limit: int, deadline: float) -> bytes:
        """Read one line. The other side sends nothing after it until it receives the next line, or closes."""
        data = bytearray()
        while not data.endswith(b"\n"):
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            chunk = connection.recv(65536)
            if not chunk:
                raise ConnectionResetError(_("it closed the connection"))
            data += chunk
            if len(data) > limit:
                raise ValueError(_("the answer is longer than {limit} bytes", limit=limit))
        return bytes(data)
