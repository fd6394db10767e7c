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

        async def close(self) -> None:
            self._server.close()
            with contextlib.suppress(OSError):
                os.unlink(self._address)  # noqa: PTH108 - pathlib in async code is another lint finding; it is one syscall

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

    async def connect(address: str, limit: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(address, limit=limit)
