"""Asks a gRPC server, layer by layer, why a client cannot use it: SDKs put everything into one sentence.

A TCP connection, a TLS handshake, and one call over HTTP/2, of which only the status is read. Nothing is retried, and
nothing goes through a proxy, as in Temporal's SDKs.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mika.errors import describe

TIMEOUT = 2.0
"""Seconds for each layer."""
_LISTEN = 0.3
"""Seconds for what a server says unasked; most begin with their settings."""

Kind = Literal[
    "status",  # the call was answered; `code` is gRPC's
    "refused",  # nothing listens
    "unanswered",  # no connection within TIMEOUT
    "unreachable",  # no connection for another reason; `detail` is what the system says
    "silent",  # a connection, and no answer within TIMEOUT
    "closed",  # it hangs up without a word
    "closed_tls",  # the same, after a complete TLS handshake
    "http",  # an HTTP/1 server; `detail` is its name, if it tells one
    "other",  # something that is neither gRPC nor HTTP/1
    "wants_tls",  # asked in clear text, it answers with TLS
    "no_tls",  # asked with TLS, it answers with something else
    "certificate",  # its certificate is not accepted; `code` is OpenSSL's
    "alert",  # it refuses this client while TLS is set up; `detail` is OpenSSL's name for that
]


@dataclass(frozen=True, slots=True)
class Finding:
    """What the first layer said that does not work, or the status of the call."""

    kind: Kind
    code: int = 0
    detail: str = ""
    names: tuple[str, ...] = ()
    """Whom the certificate is for, if it is for somebody else."""


WRONG_NAME = frozenset({62, 64})  # X509_V_ERR_HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH
EXPIRED = 10
NOT_YET_VALID = 9
UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})
"""No issuer, self-signed, no local issuer, unable to verify the first certificate."""


async def ask(
    host: str,
    port: int,
    path: str,
    *,
    context: ssl.SSLContext | None = None,
    server_name: str = "",
    metadata: Mapping[str, str] | None = None,
) -> Finding:
    """Call the method `path` (`/SERVICE/METHOD`) with an empty request. With a `context`, over TLS.

    Takes at most a few times TIMEOUT, and never raises what a server or a network can cause.
    """
    name = server_name or host
    request = _request(path, name, "https" if context else "http", metadata or {})
    try:
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError as error:
        return Finding("refused", detail=describe(error))
    except TimeoutError:
        return Finding("unanswered", detail=f"no answer within {TIMEOUT:g} s")
    except OSError as error:  # without a word of the system if several addresses failed, each in its way
        return Finding("unreachable", detail=error.strerror or "none of its addresses answers")
    early = b""
    closed: Kind = "closed"
    try:
        if context is not None:
            async with asyncio.timeout(TIMEOUT):
                await writer.start_tls(context, server_hostname=name)
            closed = "closed_tls"
            early = await _early(reader)
        async with asyncio.timeout(TIMEOUT):
            writer.write(request)
            found = await _answer(reader, early)
            return Finding(closed) if found.kind == "closed" else found
    except TimeoutError:
        return Finding("silent")
    except ssl.SSLCertVerificationError as error:
        names = await _names(host, port, context, name) if error.verify_code in WRONG_NAME else ()
        return Finding("certificate", error.verify_code, error.verify_message, names)
    except ssl.SSLEOFError:
        return Finding(closed)
    except ssl.SSLError as error:
        reason = error.reason or ""
        return Finding("alert" if "ALERT" in reason else "no_tls", detail=reason)
    except OSError:
        return Finding(closed)
    finally:
        writer.transport.abort()


async def _early(reader: asyncio.StreamReader) -> bytes:
    """What it says unasked: with TLS 1.3, that it does not want this client.

    It would hang up on a request that comes before that, and its word would be lost with the connection.
    """
    try:
        async with asyncio.timeout(_LISTEN):
            return await reader.read(_HEAD)
    except TimeoutError:
        return b""


async def _names(host: str, port: int, context: ssl.SSLContext | None, name: str) -> tuple[str, ...]:
    """Whom a certificate is for that the context accepts but for its name."""
    if context is None:
        return ()
    context.check_hostname = False
    try:
        async with asyncio.timeout(TIMEOUT):
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=name)
    except OSError:
        return ()
    finally:
        context.check_hostname = True
    certificate = writer.get_extra_info("peercert") or {}
    writer.transport.abort()
    return tuple(str(value) for _, value in certificate.get("subjectAltName", ()))


# --- HTTP/2 (RFC 9113) and its headers (RFC 7541), as far as one call needs them ------------------------------------

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _GOAWAY = 0, 1, 3, 4, 7
_END_STREAM, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x4, 0x8, 0x20
_NO_TABLE = b"\x00\x01\x00\x00\x00\x00"  # SETTINGS_HEADER_TABLE_SIZE = 0, so that a name is always written out
_HEAD = 9  # bytes: what stands before the payload of each frame
_TLS_ALERT = b"\x15\x03"

# A name and a value may be in plain text or in the Huffman code of RFC 7541, appendix B.
_STATUS_NAME = (b"grpc-status", bytes.fromhex("9acac8b21234da8f"))
_DIGITS = ("00000", "00001", "00010", "011001", "011010", "011011", "011100", "011101", "011110", "011111")


def _in_huffman(number: int) -> bytes:
    bits = "".join(_DIGITS[int(digit)] for digit in str(number))
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8)


_STATUSES = {code: number for number in range(17) for code in (b"%d" % number, _in_huffman(number))}


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def _request(path: str, authority: str, scheme: str, metadata: Mapping[str, str]) -> bytes:
    headers = {":method": "POST", ":scheme": scheme, ":path": path, ":authority": authority}
    headers |= {"content-type": "application/grpc", "te": "trailers", **metadata}
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in headers.items())
    message = b"\0" * 5  # not compressed, no bytes
    frames = [
        _frame(_SETTINGS, 0, 0, _NO_TABLE),
        _frame(_HEADERS, _END_HEADERS, 1, block),
        _frame(_DATA, _END_STREAM, 1, message),
    ]
    return _PREFACE + b"".join(frames)


def _text(value: str) -> bytes:
    """A string of a header, with its length in front."""
    data = value.encode("latin-1", "replace")
    length, prefix = len(data), bytearray()
    if length < 127:
        return bytes([length]) + data
    length -= 127
    while length >= 128:
        prefix.append(length % 128 + 128)
        length //= 128
    return bytes([127, *prefix, length]) + data


async def _answer(reader: asyncio.StreamReader, head: bytes) -> Finding:
    """Read frames until one has the status of the call. `head` has been read already."""
    while len(head) < _HEAD and not head.startswith(_TLS_ALERT):
        more = await reader.read(_HEAD - len(head))
        if not more:
            break
        head += more
    if head.startswith(_TLS_ALERT):
        return Finding("wants_tls")
    if head.startswith((b"HTTP/1", b"<!")):  # to what it does not know, a simple server sends the page alone
        return Finding("http", detail=_server(head + await reader.read(2000)))
    if not head:
        return Finding("closed")
    if len(head) < _HEAD or head[3] != _SETTINGS or any(head[5:]):  # the first frame of every HTTP/2 server
        return Finding("other")
    try:
        while True:
            kind, flags, payload = head[3], head[4], await reader.readexactly(int.from_bytes(head[:3]))
            if kind == _GOAWAY:
                return Finding("closed")
            if kind == _HEADERS and (status := _status(_block(flags, payload))) is not None:
                return Finding("status", status)
            if kind == _RST_STREAM or (kind in (_HEADERS, _DATA) and flags & _END_STREAM):
                return Finding("other")
            head = await reader.readexactly(_HEAD)
    except asyncio.IncompleteReadError:
        return Finding("closed")


def _server(answer: bytes) -> str:
    lines = answer.decode("latin-1").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.lower().startswith("server:")), "")


def _block(flags: int, payload: bytes) -> bytes:
    """The headers in a HEADERS frame, without padding and priority."""
    if flags & _PADDED:
        payload = payload[1 : len(payload) - payload[0]]
    return payload[5:] if flags & _PRIORITY else payload


def _status(block: bytes) -> int | None:
    """The value of `grpc-status` among headers; None if it is not there (yet), or not understood."""
    at = 0
    with contextlib.suppress(IndexError):
        while at < len(block):
            first = block[at]
            if first & 0x80:  # a well-known header
                _, at = _integer(block, at, 7)
                continue
            if first & 0xE0 == 0x20:  # another size of the table
                _, at = _integer(block, at, 5)
                continue
            known, at = _integer(block, at, 6 if first & 0x40 else 4)
            name = b""
            if not known:
                name, at = _string(block, at)
            value, at = _string(block, at)
            if name in _STATUS_NAME:
                return _STATUSES.get(value)
    return None


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """A number whose first byte has `bits` bits for it, and where the next thing begins."""
    most = (1 << bits) - 1
    value, shift = block[at] & most, 0
    at += 1
    if value < most:
        return value, at
    while True:
        byte = block[at]
        value += (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    """As it is written, in whatever code."""
    length, at = _integer(block, at, 7)
    return block[at : at + length], at + length
