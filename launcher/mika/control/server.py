"""How `mika status` in one terminal talks to the supervisor in another: one JSON request and one answer a connection.

A Unix socket in a folder of this user, or a named pipe: neither can be reached by a web page or over a network.
Beside that every request carries a MAC over a nonce, made with a key from a 0600 file, and so does the answer. A client
that says nothing, too much, or comes too often is cut off; it never keeps another one waiting.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from mika.control import requests, wire
from mika.control.requests import Request
from mika.errors import MikaError

if sys.platform == "win32":
    from mika.control import _windows as _platform
else:
    from mika.control import _posix as _platform

MAX_CONNECTIONS = 64
"""Clients at once. Over that, who has been silent for longest goes: a client of ours speaks within milliseconds."""
Handler = Callable[[Request], Awaitable[dict[str, Any]]]


class Server:
    """Answers requests with `handler(request)`; a MikaError of the handler goes to the client as such."""

    def __init__(self, address: str, key: str, handler: Handler) -> None:
        self.address = address
        self._key, self._handler = key, handler
        self._busy = 0
        self._silent: dict[asyncio.StreamWriter, None] = {}  # those that have not asked yet, the first one first
        self._listener: _platform.Listener | None = None

    async def start(self) -> None:
        self._listener = await _platform.listen(self.address, self._serve, wire.MAX_REQUEST)

    async def close(self) -> None:
        if self._listener is not None:
            await self._listener.close()

    def in_place(self) -> bool:
        """Whether a client still finds the address; a cleaner of `/tmp` may have removed it."""
        return self._listener is not None and self._listener.in_place()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._silent) + self._busy >= MAX_CONNECTIONS and not self._drop_a_silent_one():
            writer.close()
            return
        self._silent[writer] = None
        try:
            async with asyncio.timeout(wire.TIMEOUT):
                nonce = secrets.token_hex(16)
                await _write(writer, nonce.encode() + b"\n")
                line = await reader.readline()
                if writer in self._silent:
                    del self._silent[writer]
                    await self._reply(nonce, line, writer)
        except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError):
            pass  # the other side is gone, silent or not one of ours: nothing to tell it
        finally:
            self._silent.pop(writer, None)
            writer.close()

    async def _reply(self, nonce: str, line: bytes, writer: asyncio.StreamWriter) -> None:
        self._busy += 1
        try:
            body, mac = wire.split(line)
            if wire.is_signed(self._key, nonce, body, mac):
                answer = json.dumps(await self._answer(body)).encode()
                await _write(writer, wire.signed_line(self._key, nonce + "answer", answer))
        finally:
            self._busy -= 1

    def _drop_a_silent_one(self) -> bool:
        """End the one that has been silent for longest; False when all are being answered."""
        writer = next(iter(self._silent), None)
        if writer is None:
            return False
        del self._silent[writer]
        writer.transport.abort()  # its task then reads the end of the input
        return True

    async def _answer(self, body: bytes) -> dict[str, Any]:
        try:
            return {"result": await self._handler(requests.from_json(json.loads(body)))}
        except MikaError as error:
            return {
                "error": {"message": error.message, "hint": error.hint, "code": error.code, "exit": error.exit_code}
            }
        except Exception as error:  # noqa: BLE001 - a fault in one request must not end the supervisor
            return {"error": {"message": f"{type(error).__name__}: {error}", "hint": "", "code": "internal", "exit": 1}}


async def _write(writer: asyncio.StreamWriter, line: bytes) -> None:
    writer.write(line)
    await writer.drain()
