"""Is there a Temporal server, and if not: what is there instead?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Literal

from mika.address import join
from mika.diagnosis.temporal import RPC_TIMEOUT, CallError, Temporal, call_error
from mika.errors import MikaError, describe
from mika.frozen import frozen
from mika.machine import grpc
from mika.machine.grpc import Finding
from mika.machine.local import in_thread
from mika.machine.ports import Listener
from mika.readiness import access
from mika.readiness.ladder import Hopeless
from mika.readiness.login import Login, read
from mika.reason import NONE, Reason
from mika.wording import _

TIMEOUT = RPC_TIMEOUT
"""Seconds for the SDK to connect, and for the answers over that connection."""
_UNIMPLEMENTED = 12
_NO_CHANCE = frozenset({"refused", "unanswered", "unreachable", "silent", "closed", "http", "other"})
"""Findings with which the SDK cannot connect either."""


@frozen
class Server:
    """`state`: `up`, `refused` (nothing listens), `foreign` (something else does), `silent`, `unhealthy`, or `barred`.

    `barred`: it does not let us in, or we do not trust it; `reason` says why, and what to do.
    """

    state: Literal["up", "refused", "foreign", "silent", "unhealthy", "barred"]
    address: str
    detail: str = ""
    version: str = ""
    connection: Temporal | None = None
    reason: Reason = NONE

    @property
    def up(self) -> bool:
        return self.state == "up"

    @property
    def temporal(self) -> Temporal:
        """Raises RuntimeError where there is no server."""
        if self.connection is None:
            raise RuntimeError(_("not connected to {address}", address=self.address))
        return self.connection


async def look(
    host: str, port: int, namespace: str, variables: Mapping[str, str], rpc_timeout: float = RPC_TIMEOUT
) -> Server:
    """Connect, log in with `variables`, and ask. Takes a few times TIMEOUT at most, and a fraction of it usually.

    `rpc_timeout`, in seconds, is for each later call over the connection.

    Raises MikaError where the server answers, and the SDK is too slow on this machine.
    """
    address = join(host, port)
    try:
        login = await in_thread(lambda: read(variables))
        found = await access.look(host, port, login)
        if found.kind in _NO_CHANCE or (found.kind == "status" and found.code == _UNIMPLEMENTED):
            return _not_temporal(found, address)
        try:
            async with asyncio.timeout(TIMEOUT):
                server = await _ask(address, namespace, login, rpc_timeout)
        except TimeoutError:
            return _overdue(found, address)
        if server.up:  # OpenSSL may be stricter than the SDK, and has no client certificate that is given as data
            return server
        if isinstance(obstacle := access.judge(found, address, login), Hopeless):
            raise obstacle
        return server if found.kind == "status" else _not_temporal(found, address)
    except Hopeless as error:
        return Server("barred", address, error.reason.text, reason=error.reason)


def _overdue(found: Finding, address: str) -> Server:
    if found.kind != "status" or found.code:
        return Server("silent", address, _silence(TIMEOUT))
    text = _("{address} answers, but the SDK was not ready within {seconds:g} s", address=address, seconds=TIMEOUT)
    raise MikaError(text, _("try again when this machine is less busy"), code="too_slow")


def _silence(seconds: float) -> str:
    return _("it accepts a connection and does not answer within {seconds:g} s", seconds=seconds)


def _not_temporal(found: Finding, address: str) -> Server:
    match found.kind:
        case "refused":
            return Server("refused", address, _("nothing listens there"))
        case "unreachable":
            return Server("refused", address, found.detail)
        case "unanswered":
            return Server("silent", address, _("no connection within {seconds:g} s", seconds=grpc.TIMEOUT))
        case "silent":
            return Server("silent", address, _silence(grpc.TIMEOUT))
        case "closed" | "closed_tls":
            text = _("it closes each connection at once: it is still starting, or stopping")
            return Server("unhealthy", address, text)
        case "http":
            named = _("a web server answers there ({name})", name=found.detail)
            return Server("foreign", address, named if found.detail else _("a web server answers there"))
    return Server("foreign", address, _("something that is not a Temporal server listens there"))


async def _ask(address: str, namespace: str, login: Login, rpc_timeout: float) -> Server:
    """Raises Hopeless if the server does not let us in."""
    from temporalio.service import RPCError

    try:
        temporal = Temporal(await access.open_client(address, "mika-doctor", login), namespace, rpc_timeout)
        if not await temporal.is_serving():
            text = _("it answers NOT_SERVING: it is still starting, or its database is away")
            return Server("unhealthy", address, text)
        version = await temporal.server_version()
    except RPCError as error:
        if call_error(error) == CallError.DENIED:
            raise Hopeless(access.denied(address, login, error.status)) from error
        return Server("unhealthy", address, describe(error))
    except (RuntimeError, ValueError) as error:
        return Server("unhealthy", address, _("the SDK cannot connect to it: {error}", error=describe(error)))
    serving = _("SERVING at {address}", address=address)
    return Server("up", address, serving, version=version, connection=temporal)


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
