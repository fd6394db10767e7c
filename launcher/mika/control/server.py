"""The server side of the control channel: commands in other terminals use it to talk to the supervisor.

Each connection carries one JSON request and one answer, over a Unix socket in a folder of this user or over a named
pipe, so neither a web page nor another machine can reach it. In addition, each request and each answer carries a MAC
over a nonce, made with a key from a file with mode 0600. A client that is silent, sends too much or connects too often
is disconnected; it never delays other clients.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import Awaitable, Callable

from mika.control import requests, wire
from mika.control.requests import Request
from mika.errors import MikaError
from mika.wording import packed

if sys.platform == "win32":
    from mika.control import _windows as _platform
else:
    from mika.control import _posix as _platform

MAX_CONNECTIONS = 64
"""At most so many clients at a time. If there are more, the one that has been silent for longest is disconnected.

A real client sends its request within milliseconds.
"""

Handler = Callable[[Request], Awaitable[dict[str, object]]]


class Server:
    """Answers requests with `handler(request)`. A MikaError that the handler raises is raised in the client."""

    def __init__(self, address: str, key: str, handler: Handler) -> None:
        self.address = address
        self._key, self._handler = key, handler
        self._answering = 0
        self._silent: dict[asyncio.StreamWriter, None] = {}  # clients without a request so far, oldest first
        self._listener: _platform.Listener | None = None

    async def start(self) -> None:
        self._listener = await _platform.listen(self.address, self._serve, wire.MAX_REQUEST)

    async def close(self) -> None:
        if self._listener is not None:
            await self._listener.close()
        while self._disconnect_oldest_silent():
            pass

    def is_reachable(self) -> bool:
        """Whether clients can still connect to the address: a clean-up of `/tmp` may have removed the socket."""
        return self._listener is not None and self._listener.is_reachable()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._silent) + self._answering >= MAX_CONNECTIONS and not self._disconnect_oldest_silent():
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
            pass  # the client is gone, silent or not a mika: there is nobody to answer
        except asyncio.CancelledError:
            pass  # mika ends; for a task that ends cancelled, Python 3.11 prints a traceback (python/cpython#113538)
        finally:
            self._silent.pop(writer, None)
            writer.close()

    async def _reply(self, nonce: str, line: bytes, writer: asyncio.StreamWriter) -> None:
        self._answering += 1
        try:
            body, mac = wire.split(line)
            if wire.is_signed(self._key, nonce, body, mac):
                answer = json.dumps(packed(await self._answer(body))).encode()
                await _write(writer, wire.signed_line(self._key, nonce + "answer", answer))
        finally:
            self._answering -= 1

    def _disconnect_oldest_silent(self) -> bool:
        """Returns False when there is no silent client."""
        writer = next(iter(self._silent), None)
        if writer is None:
            return False
        del self._silent[writer]
        writer.transport.abort()  # its task then reads the end of the stream
        return True

    async def _answer(self, body: bytes) -> dict[str, object]:
        try:
            return {"result": await self._handler(requests.from_json(json.loads(body)))}
        except MikaError as error:
            return {
                "error": {"message": error.message, "hint": error.hint, "code": error.code, "exit": error.exit_code}
            }
        except Exception as error:  # noqa: BLE001 - a bug in one request must not stop the supervisor
            return {"error": {"message": f"{type(error).__name__}: {error}", "hint": "", "code": "internal", "exit": 1}}


async def _write(writer: asyncio.StreamWriter, line: bytes) -> None:
    writer.write(line)
    await writer.drain()
