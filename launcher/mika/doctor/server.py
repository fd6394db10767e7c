"""Is there a Temporal server, and if not: what is there instead?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mika.address import join
from mika.diagnosis.temporal import RPC_TIMEOUT, CallError, Temporal, call_error
from mika.errors import describe
from mika.machine.ports import Listener
from mika.readiness.temporal import open_client

TIMEOUT = RPC_TIMEOUT
"""Seconds for a connection, and for the answers over it."""
_SETTLE = 0.4


@dataclass(frozen=True, slots=True)
class Server:
    """`state`: `up`, `refused` (nothing listens), `foreign` (something else does), `silent`, `denied`, `unhealthy`."""

    state: Literal["up", "refused", "foreign", "silent", "denied", "unhealthy"]
    address: str
    detail: str = ""
    version: str = ""
    connection: Temporal | None = None

    @property
    def up(self) -> bool:
        return self.state == "up"

    @property
    def temporal(self) -> Temporal:
        """Raises RuntimeError where there is no server."""
        if self.connection is None:
            raise RuntimeError(f"not connected to {self.address}")
        return self.connection


async def look(host: str, port: int, namespace: str) -> Server:
    """Connect and ask. Takes at most about twice TIMEOUT, and a fraction of it wherever something answers."""
    address = join(host, port)
    try:
        greeting = await _greeting(host, port)
    except TimeoutError:
        return Server("silent", address, f"no connection within {TIMEOUT:g} s")
    except ConnectionRefusedError:
        return Server("refused", address, "nothing listens there")
    except OSError as error:
        return Server("refused", address, error.strerror or str(error))
    if greeting and greeting.startswith(b"HTTP/1"):
        head = greeting.decode("latin-1").splitlines()
        server = next((line.partition(":")[2].strip() for line in head if line.lower().startswith("server:")), "")
        return Server("foreign", address, f"a web server answers there{f' ({server})' if server else ''}")
    if greeting and not greeting.startswith(b"\0\0"):  # a frame begins with its length, and the first one is short
        return Server("foreign", address, "something that is not a Temporal server listens there")
    try:
        async with asyncio.timeout(TIMEOUT):
            return await _ask(address, namespace, hangs_up=greeting is None)
    except TimeoutError:
        return Server("silent", address, f"it accepts a connection and does not answer within {TIMEOUT:g} s")


async def _greeting(host: str, port: int) -> bytes | None:
    """What it says to an HTTP/1 request: a web server a status line, a gRPC server a frame of HTTP/2 or nothing.

    None when it hangs up without a word, as Docker does for a container in which nothing listens yet.
    """
    async with asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        try:
            async with asyncio.timeout(_SETTLE):
                return await reader.read(2000) or None
        except TimeoutError:
            return b""
        except OSError:
            return None
    finally:
        writer.close()


async def _ask(address: str, namespace: str, *, hangs_up: bool) -> Server:
    from temporalio.service import RPCError

    try:
        temporal = Temporal(await open_client(address, "mika-doctor"), namespace)
        if not await temporal.is_serving():
            return Server("unhealthy", address, "it answers NOT_SERVING: it is still starting, or its database is away")
        version = await temporal.server_version()
    except RPCError as error:
        is_denied = call_error(error) == CallError.DENIED
        return Server("denied" if is_denied else "unhealthy", address, describe(error))
    except RuntimeError as error:
        if hangs_up:
            return Server("unhealthy", address, "it closes each connection at once: it is still starting, or stopping")
        return Server("foreign", address, f"something that is not a Temporal server listens there: {_short(error)}")
    return Server("up", address, f"SERVING at {address}", version, temporal)


def _short(error: RuntimeError) -> str:
    """What the SDK says, without the debug text of its Rust part."""
    text = describe(error)
    for mark in ("certificate", "TLS", "tls", "frame", "protocol", "refused", "reset", "closed"):
        if mark in text:
            return f"{mark} error"
    return text[:100]


def other_temporal(listeners: Mapping[int, Listener], port: int) -> Listener | None:
    """A Temporal server of this machine on another port that does not belong to a stack of mika.

    Its frontend has the lowest of the ports that it opens.
    """
    candidates = [
        listener
        for listener in listeners.values()
        if listener.port != port
        and listener.name.startswith("temporal")
        and "server" in listener.command
        and listener.stack is None
    ]
    return min(candidates, key=lambda listener: listener.port, default=None)
