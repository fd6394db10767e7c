"""The control channel over a named pipe, served by asyncio's Proactor event loop (the default on Windows)."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

if sys.platform == "win32":
    Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

    class Listener:
        """A listening pipe. Its name disappears when it is closed."""

        def __init__(self, servers: list[Any]) -> None:
            self._servers = servers

        def is_reachable(self) -> bool:
            """Always true: the name of a pipe cannot be removed while the pipe is open."""
            return True

        async def close(self) -> None:
            for server in self._servers:
                server.close()

    async def listen(address: str, serve: Serve, limit: int) -> Listener:
        """Listen on the pipe `address`. Only one process can: CPython sets FILE_FLAG_FIRST_PIPE_INSTANCE."""
        loop = asyncio.get_running_loop()

        def make_protocol() -> asyncio.StreamReaderProtocol:
            return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=limit, loop=loop), serve, loop=loop)

        assert isinstance(loop, asyncio.ProactorEventLoop)  # noqa: S101 - narrows the type; the default loop on Windows
        return Listener(await loop.start_serving_pipe(make_protocol, address))
