"""The control channel over a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable

if sys.platform != "win32":
    Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

    class Listener:
        """A listening socket; the file goes with it."""

        def __init__(self, server: asyncio.Server, address: str) -> None:
            self._server, self._address = server, address
            self._file = _identity(address)

        def in_place(self) -> bool:
            """False when somebody has removed or replaced the socket's file: then no client finds us."""
            return self._file is not None and _identity(self._address) == self._file

        async def close(self) -> None:
            self._server.close()
            if self.in_place():
                with contextlib.suppress(OSError):
                    os.unlink(self._address)  # noqa: PTH108 - pathlib in async code is another lint finding; it is one syscall
            self._file = None

    def _identity(address: str) -> tuple[int, int] | None:
        try:
            status = os.lstat(address)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    async def listen(address: str, serve: Serve, limit: int) -> Listener:
        """Listen at `address`. The caller holds the project's lock, so a file that is there is stale."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(address)  # noqa: PTH108
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(serve, address, limit=limit)
        finally:
            os.umask(before)
        return Listener(server, address)
