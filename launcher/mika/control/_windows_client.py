"""One exchange over a named pipe. It uses asyncio's Proactor event loop, because reads from a pipe that was opened as a
plain file cannot time out on Windows.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

if sys.platform == "win32":

    def exchange(address: str, request_for: Callable[[bytes], bytes], limit: int, timeout: float) -> bytes:
        """Read the greeting, send `request_for(greeting)`, and return the answer. Each is one line.

        Raises OSError (TimeoutError after `timeout` seconds), and ValueError for an answer of more than `limit` bytes.
        """

        async def run() -> bytes:
            async with asyncio.timeout(timeout):
                reader, writer = await _connect(address, limit)
                try:
                    writer.write(request_for(await reader.readline()))
                    await writer.drain()
                    return await reader.readline()
                finally:
                    writer.close()

        return asyncio.run(run())

    async def _connect(address: str, limit: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, asyncio.ProactorEventLoop)  # noqa: S101 - narrows the type; the default loop on Windows
        reader = asyncio.StreamReader(limit=limit, loop=loop)
        transport, protocol = await loop.create_pipe_connection(
            lambda: asyncio.StreamReaderProtocol(reader, loop=loop), address
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)
