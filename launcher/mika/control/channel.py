"""How `mika status` in one terminal talks to the supervisor in another: one JSON request and one answer a connection.

A Unix socket in a folder of this user, or a named pipe: neither can be reached by a web page or over a network.
Beside that every request carries a MAC over a nonce, made with a key from a 0600 file, and so does the answer. A client
that says nothing, too much, or comes too often is cut off; it never keeps another one waiting.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from mika.control import requests
from mika.control.requests import Request
from mika.errors import MikaError

if sys.platform == "win32":
    from mika.control import _windows as _platform
else:
    from mika.control import _posix as _platform

MAX_REQUEST = 64 * 1024
MAX_ANSWER = 8 * 1024 * 1024
MAX_CONNECTIONS = 64
"""Clients at once. Over that, who has been silent for longest goes: a client of ours speaks within milliseconds."""
TIMEOUT = 5.0
"""Seconds for a whole exchange; what takes longer (a restart, a stop) is asked for and then watched in `status`."""

GONE = "address_gone"
"""Code of a ChannelError where nothing is at the address, because somebody removed the socket's file."""

Handler = Callable[[Request], Awaitable[dict[str, Any]]]


class ChannelError(MikaError):
    """The supervisor did not answer."""

    code = "no_answer"


class Server:
    """Answers requests with `handler(request)`; a MikaError of the handler goes to the client as such."""

    def __init__(self, address: str, key: str, handler: Handler) -> None:
        self.address = address
        self._key, self._handler = key, handler
        self._busy = 0
        self._silent: dict[asyncio.StreamWriter, None] = {}  # those that have not asked yet, the first one first
        self._listener: _platform.Listener | None = None

    async def start(self) -> None:
        self._listener = await _platform.listen(self.address, self._serve, MAX_REQUEST)

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
            async with asyncio.timeout(TIMEOUT):
                nonce = secrets.token_hex(16)
                await _write(writer, nonce.encode())
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
            body, mac = _split(line)
            if hmac.compare_digest(mac, _mac(self._key, nonce, body)):
                answer = json.dumps(await self._answer(body)).encode()
                await _write(writer, answer + b"\t" + _mac(self._key, nonce + "answer", answer).encode())
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


async def ask(address: str, key: str, request: Request) -> Any:
    """Send one request and return its result, decoded JSON.

    Raises ChannelError when nobody answers within TIMEOUT seconds, and the MikaError that the supervisor answered with.
    """
    body = json.dumps(requests.to_json(request)).encode()
    try:
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await _platform.connect(address, MAX_ANSWER)
            try:
                nonce = (await reader.readline()).strip().decode("ascii")
                await _write(writer, body + b"\t" + _mac(key, nonce, body).encode())
                answer, mac = _split(await reader.readline())
            finally:
                writer.close()
    except FileNotFoundError:
        raise ChannelError(f"the supervisor's control socket {address} is gone", code=GONE) from None
    except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError) as error:
        raise ChannelError(f"the supervisor does not answer at {address}: {error or 'time-out'}") from None
    if not hmac.compare_digest(mac, _mac(key, nonce + "answer", answer)):
        raise ChannelError(f"the answer at {address} is not from the supervisor of this folder")
    found = json.loads(answer)
    if "error" in found:
        failure = found["error"]
        error_ = MikaError(failure["message"], failure["hint"], code=failure["code"])
        error_.exit_code = failure["exit"]
        raise error_
    return found["result"]


async def _write(writer: asyncio.StreamWriter, line: bytes) -> None:
    writer.write(line + b"\n")
    await writer.drain()


def _mac(key: str, nonce: str, body: bytes) -> str:
    return hmac.new(key.encode(), nonce.encode() + body, hashlib.sha256).hexdigest()


def _split(line: bytes) -> tuple[bytes, str]:
    """JSON never contains a raw tab, so the MAC stands behind the last one."""
    body, _, mac = line.rstrip(b"\n").rpartition(b"\t")
    return body, mac.decode("ascii")
