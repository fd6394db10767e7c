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
        """A listening socket. `close` also removes its file."""

        def __init__(self, server: asyncio.Server, address: str) -> None:
            self._server, self._address = server, address
            self._file = _file_id(address)

        def is_reachable(self) -> bool:
            """Whether the socket's file is still there: clients cannot connect after it was removed or replaced."""
            return self._file is not None and _file_id(self._address) == self._file

        async def close(self) -> None:
            self._server.close()
            if self.is_reachable():
                with contextlib.suppress(OSError):
                    os.unlink(self._address)  # noqa: PTH108 - one fast system call; the linter forbids pathlib in async code
            self._file = None

    def _file_id(address: str) -> tuple[int, int] | None:
        try:
            status = os.lstat(address)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    async def listen(address: str, serve: Serve, limit: int) -> Listener:
        """Listen at `address`. The caller must hold the project's lock: an existing file is stale and is replaced."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(address)  # noqa: PTH108
        previous_umask = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(serve, address, limit=limit)
        finally:
            os.umask(previous_umask)
        return Listener(server, address)
