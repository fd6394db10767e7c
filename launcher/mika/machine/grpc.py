"""Asks a gRPC server, layer by layer, why a client cannot use it: SDKs put everything into one sentence.

A TCP connection, a TLS handshake, and one call over HTTP/2, of which only the status is read. Nothing is retried, and
nothing goes through a proxy, as in Temporal's SDKs.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from mika.errors import describe
from mika.frozen import frozen
from mika.wording import _

if TYPE_CHECKING:
    from h2.connection import H2Connection
    from h2.events import Event

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


@frozen
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
    connection, request = _call(path, name, "https" if context else "http", metadata or {})
    try:
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError as error:
        return Finding("refused", detail=describe(error))
    except TimeoutError:
        return Finding("unanswered", detail=_("no answer within {seconds:g} s", seconds=TIMEOUT))
    except socket.gaierror:
        return Finding("unreachable", detail=_("its host name cannot be resolved"))
    except OSError as error:  # without a word of the system if several addresses failed, each in its way
        return Finding("unreachable", detail=error.strerror or _("none of its addresses answers"))
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
            found = await _answer(reader, connection, early)
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
            _reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=name)
    except OSError:
        return ()
    finally:
        context.check_hostname = True
    certificate = writer.get_extra_info("peercert") or {}
    writer.transport.abort()
    return tuple(str(value) for _kind, value in certificate.get("subjectAltName", ()))


# --- one call over HTTP/2 ---------------------------------------------------------------------------------------------

_HEAD = 9  # bytes: what stands before the payload of each frame
_SETTINGS = 4  # the type of the first frame of every HTTP/2 server
_TLS_ALERT = b"\x15\x03"
_STREAM = 1
_BLOCK = 1 << 16  # bytes


def _call(path: str, authority: str, scheme: str, metadata: Mapping[str, str]) -> tuple[H2Connection, bytes]:
    """The client's side of a connection with one call, and the bytes to send."""
    from h2.config import H2Configuration
    from h2.connection import H2Connection

    connection = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    connection.initiate_connection()
    headers = {":method": "POST", ":scheme": scheme, ":path": path, ":authority": authority}
    headers |= {"content-type": "application/grpc", "te": "trailers", **metadata}
    connection.send_headers(_STREAM, list(headers.items()))
    connection.send_data(_STREAM, b"\0" * 5, end_stream=True)  # a message: not compressed, no bytes
    return connection, connection.data_to_send()


async def _answer(reader: asyncio.StreamReader, connection: H2Connection, head: bytes) -> Finding:
    """Read until there is the status of the call. `head` has been read already."""
    from h2.exceptions import ProtocolError

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
    if len(head) < _HEAD or head[3] != _SETTINGS or any(head[5:]):
        return Finding("other")
    try:
        while head:
            if (finding := _finding(connection.receive_data(head))) is not None:
                return finding
            head = await reader.read(_BLOCK)
    except ProtocolError:
        return Finding("other")
    return Finding("closed")


def _finding(events: Sequence[Event]) -> Finding | None:
    """What these events say of the call; None if nothing yet."""
    from h2 import events as kinds

    for event in events:
        match event:
            case kinds.ResponseReceived() | kinds.TrailersReceived():
                status = dict(event.headers).get(b"grpc-status", b"")
                if status.isdigit():
                    return Finding("status", int(status))
            case kinds.ConnectionTerminated():
                return Finding("closed")
            case kinds.StreamReset() | kinds.StreamEnded():
                return Finding("other")
    return None


def _server(answer: bytes) -> str:
    lines = answer.decode("latin-1").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.lower().startswith("server:")), "")
