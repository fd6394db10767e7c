"""As much of MongoDB's protocol as a question needs: is there a server, and does it take this user?

Its messages: https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/, its documents: https://bsonspec.org.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import re
import secrets
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from mika.errors import describe
from mika.machine.local import in_thread
from mika.readiness import scram
from mika.wording import _

PORT = 27017
AUTHENTICATION_FAILED = 18
Element = int | str | bytes | Mapping[str, "Element"]
Document = Mapping[str, Element]
"""A document to send; `bool` is an `int`."""
_OP_MSG = 2013
_HEADER = struct.Struct("<iiii")  # length, id, id of the question, code
_MAX_ANSWER = 100_000  # bytes; what is asked here is answered in 1000
_URL = re.compile(r"mongodb(?P<srv>\+srv)?://(?:[^@/]*@)?(?P<hosts>[^@/?]+)(?:/[^@?]*)?(?:\?(?P<options>.*))?")


class MongoError(Exception):
    """The server refuses a command (`code` is its number), or what answers is not MongoDB (0)."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


def address_of(url: str) -> tuple[str, int] | None:
    """Host and port of the one server at `url`; None when it takes a driver to find or to reach it.

    That is so with several servers, a DNS record (mongodb+srv), TLS and a socket file. Raises ValueError for a URL
    that cannot be read.
    """
    parts = _URL.fullmatch(url)
    if parts is None:
        raise ValueError(_("write '@', ':', '/' and '%' in its user name and password as %40, %3A, %2F and %25"))
    options = {name.lower(): values[-1] for name, values in parse_qs(parts["options"] or "").items()}
    has_tls = "true" in (options.get("tls"), options.get("ssl"))
    if parts["srv"] or has_tls or "," in parts["hosts"] or "%2f" in parts["hosts"].lower():
        return None
    server = urlsplit(f"//{parts['hosts']}")
    if not server.hostname:
        raise ValueError(_("it names no host"))
    return server.hostname, server.port or PORT


async def why_silent(host: str, port: int, timeout: float = 1.5) -> str:
    """Why no MongoDB server answers there within `timeout` seconds; empty when one does. Sends no password."""
    try:
        async with asyncio.timeout(timeout):
            connection = await Connection.open(host, port)
            try:
                await connection.command({"hello": 1})
            finally:
                connection.close()
    except TimeoutError:
        return _("no answer within {seconds:g} s", seconds=timeout)
    except socket.gaierror as error:
        return error.strerror or _("its name cannot be resolved")
    except (OSError, MongoError) as error:
        return describe(error)
    return ""


class Connection:
    """One connection: one command at a time, for the database `admin`. After any error it is of no more use."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._ids = itertools.count(1)

    @classmethod
    async def open(cls, host: str, port: int) -> Self:
        """Raises OSError."""
        # In a thread of ours: at its end asyncio waits for those in which it resolves names.
        addresses = await in_thread(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        refused: OSError | None = None
        for *_unused, address in addresses:
            try:
                return cls(*await asyncio.open_connection(str(address[0]), port))
            except OSError as error:
                refused = error
        raise refused or OSError(_("its name has no address"))

    def close(self) -> None:
        self._writer.close()

    async def command(self, document: Document) -> dict[str, Any]:
        """The server's answer. Raises MongoError when it refuses, and OSError when the connection breaks."""
        number = next(self._ids)
        body = struct.pack("<IB", 0, 0) + encode({**document, "$db": "admin"})
        self._writer.write(_HEADER.pack(_HEADER.size + len(body), number, 0, _OP_MSG) + body)
        try:
            length, _unused, answers, code = _HEADER.unpack(await self._reader.readexactly(_HEADER.size))
            if code != _OP_MSG or answers != number or not _HEADER.size < length <= _MAX_ANSWER:
                raise MongoError(_("what listens there is not MongoDB"))
            message = await self._reader.readexactly(length - _HEADER.size)
        except asyncio.IncompleteReadError:
            raise MongoError(_("it accepts the connection and closes it")) from None
        try:
            answer = decode(message[5:])  # behind the flags and the section's kind
        except (ValueError, IndexError, struct.error, RecursionError):
            raise MongoError(_("what listens there is not MongoDB")) from None
        if answer.get("ok") != 1:
            refusal = answer.get("code")
            text = str(answer.get("errmsg") or "") or _("it refuses the command")
            raise MongoError(text, refusal if isinstance(refusal, int) else 0)
        return answer

    async def log_in(self, user: str, password: str) -> None:
        """Raises MongoError, with the code AUTHENTICATION_FAILED when the server does not take the user."""
        hello = await self.command({"hello": 1, "saslSupportedMechs": f"admin.{user}"})
        if "SCRAM-SHA-256" in hello.get("saslSupportedMechs", ()):
            mechanism, hash_name, secret = "SCRAM-SHA-256", "sha256", scram.prepared(password)
        else:  # a user that was made before MongoDB 4; its password is stored as this hash
            digest = hashlib.md5(f"{user}:mongo:{password}".encode(), usedforsecurity=False)
            mechanism, hash_name, secret = "SCRAM-SHA-1", "sha1", digest.hexdigest()
        first = scram.first_message(user, secrets.token_urlsafe(24))
        options = {"skipEmptyExchange": True}
        start: Document = {"saslStart": 1, "mechanism": mechanism, "payload": first.encode(), "options": options}
        started = await self.command(start)
        try:
            final = scram.final_message(hash_name, secret, first, started["payload"].decode())
        except (ValueError, KeyError, AttributeError):
            raise MongoError(_("its answer to a login cannot be read")) from None
        conversation = started.get("conversationId", 1)
        await self.command({"saslContinue": 1, "conversationId": conversation, "payload": final.encode()})


# --- BSON -------------------------------------------------------------------------------------------------------------


def encode(document: Document) -> bytes:
    body = b"".join(_element(name.encode() + b"\0", value) for name, value in document.items())
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def _element(name: bytes, value: Element) -> bytes:
    match value:
        case bool():
            return b"\x08" + name + bytes([value])
        case int():
            return b"\x10" + name + struct.pack("<i", value)
        case str():
            return b"\x02" + name + struct.pack("<i", len(value.encode()) + 1) + value.encode() + b"\0"
        case bytes():
            return b"\x05" + name + struct.pack("<iB", len(value), 0) + value
        case _:
            return b"\x03" + name + encode(value)


_FIXED = {0x01: "<d", 0x08: "<?", 0x09: "<q", 0x0A: "", 0x10: "<i", 0x11: "<Q", 0x12: "<q"}
_OPAQUE = {0x07: 12, 0x13: 16}  # bytes of an id, of a decimal


def decode(data: bytes) -> dict[str, Any]:
    """Raises ValueError, IndexError or struct.error for what is not BSON, and for the types that no answer here has."""
    return dict(_elements(data))


def _elements(data: bytes) -> Iterator[tuple[str, Any]]:
    at = 4
    while kind := data[at]:
        end = data.index(b"\0", at + 1)
        name, at = data[at + 1 : end].decode(), end + 1
        if kind in _FIXED:
            values = struct.unpack_from(_FIXED[kind], data, at)
            value: Any = values[0] if values else None
            at += struct.calcsize(_FIXED[kind])
        elif kind in _OPAQUE:
            value, at = data[at : at + _OPAQUE[kind]], at + _OPAQUE[kind]
        elif kind in (0x02, 0x03, 0x04, 0x05):
            (length,) = struct.unpack_from("<I", data, at)
            if kind == 0x02:
                value, at = data[at + 4 : at + 3 + length].decode(), at + 4 + length
            elif kind == 0x05:
                value, at = data[at + 5 : at + 5 + length], at + 5 + length
            else:
                inner = decode(data[at : at + length])
                value, at = inner if kind == 0x03 else list(inner.values()), at + length
        else:
            raise ValueError(f"an element of the type {kind:#x}")
        yield name, value
