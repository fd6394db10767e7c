"""A server of the control channel in the test's own event loop, and clients that keep to the rules, or do not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from mika.control import client, requests, wire
from mika.control.requests import ControlUnits, Request
from mika.control.server import Server
from mika.errors import UsageError

KEY = "k" * 64


async def ask(address: str, key: str, request: Request) -> Any:
    """`client.send` blocks, and the server of these tests runs in this event loop."""
    return await asyncio.to_thread(client.send, address, key, request)


def call(op: str, **arguments: Any) -> ControlUnits:
    """A request that `handler` understands: names are free text to the channel."""
    return ControlUnits("start", (op, json.dumps(arguments)))


ECHO = json.dumps(requests.to_json(call("echo"))).encode()


async def handler(request: Request) -> Any:
    assert isinstance(request, ControlUnits)
    op, text = request.names
    arguments = json.loads(text)
    match op:
        case "echo":
            return arguments
        case "usage":
            raise UsageError("no process is named 'x'", "there are: y", code="unknown")
        case "fault":
            raise KeyError("ours")
        case "slow":
            await asyncio.sleep(arguments["seconds"])
            return "late"
    return None


@contextlib.asynccontextmanager
async def serving(address: str, key: str = KEY) -> AsyncIterator[Server]:
    server = Server(address, key, handler)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


async def connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """For a client that does not keep to the rules."""
    if sys.platform == "win32":
        from mika.control._windows_client import _connect

        return await _connect(address, wire.MAX_ANSWER)
    return await asyncio.open_unix_connection(address, limit=wire.MAX_ANSWER)


@contextlib.asynccontextmanager
async def connected(address: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client that does as it likes."""
    reader, writer = await connect(address)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def run(address: str, test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with serving(address):
            await asyncio.wait_for(test(), 30)

    asyncio.run(main())
