"""One exchange over a Unix socket. Blocking: `mika status` has no other use for an event loop, a slow import."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable

if sys.platform != "win32":

    def exchange(address: str, request_for: Callable[[bytes], bytes], limit: int, timeout: float) -> bytes:
        """Read the greeting, send `request_for(greeting)`, return the answer, each one line.

        Raises OSError (TimeoutError after `timeout` seconds) and ValueError for an answer above `limit` bytes.
        """
        deadline = time.monotonic() + timeout
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(address)
            greeting = _read_line(connection, limit, deadline)
            connection.sendall(request_for(greeting))
            return _read_line(connection, limit, deadline)

    def _read_line(connection: socket.socket, limit: int, deadline: float) -> bytes:
        """Up to the first line feed: the other side sends one line and then waits, or closes."""
        data = bytearray()
        while not data.endswith(b"\n"):
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            part = connection.recv(65536)
            if not part:
                raise ConnectionResetError("it closed the connection")
            data += part
            if len(data) > limit:
                raise ValueError(f"an answer of more than {limit} bytes")
        return bytes(data)
