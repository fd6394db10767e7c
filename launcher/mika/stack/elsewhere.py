"""Where a worker is that does not poll its task queue: at another server, in another namespace, or at another queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from mika.address import is_loopback, join
from mika.machine import ports
from mika.reason import NONE, Reason
from mika.wording import _, listed

if TYPE_CHECKING:
    from mika.readiness.stuck import IsOwn
    from mika.readiness.temporal import TemporalProbe

_FIRST = 8.0
"""Seconds before the first look, and between it and the second; then twice as many: imports want the CPU."""
_USUAL_PORT = 7233
"""Where a Temporal server listens by default: https://docs.temporal.io/references/configuration#services"""
_MOST_PEERS = 3
_MOST_QUEUES = 20


class Elsewhere:
    """Looks for the worker of the process `name`, whose processes are `pids()`, and which is to poll `queues`.

    `queues_in_code()` are those that the project's code names; it takes seconds.
    """

    def __init__(
        self,
        name: str,
        queues: Collection[str],
        temporal: TemporalProbe,
        pids: Callable[[], Collection[int]],
        is_own: IsOwn,
        queues_in_code: Callable[[], Collection[str]],
    ) -> None:
        self._name, self._queues, self._temporal = name, frozenset(queues), temporal
        self._pids, self._is_own, self._queues_in_code = pids, is_own, queues_in_code
        self._look_at, self._pause = time.monotonic() + _FIRST, _FIRST
        self._reason, self._is_connected = NONE, False
        self._looking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._looking.set_result(None)

    def reason(self, queue: str) -> Reason:
        """Where it was last seen, if that is not `queue` of our server; NONE if it may be there, or is not known.

        It is looked for in the background: the deadline of a probe is too short for that.
        """
        if self._looking.done() and time.monotonic() >= self._look_at:
            self._look_at, self._pause = time.monotonic() + self._pause, 2 * self._pause
            self._looking = asyncio.ensure_future(self._look(queue))
        return self._reason

    async def _look(self, queue: str) -> None:
        try:
            peers = await asyncio.to_thread(lambda: ports.peers_of(self._pids()))
            # By the port alone: a name of the server may have other addresses here than for the worker.
            was_connected = self._is_connected
            self._is_connected = any(port == self._temporal.port for _ip, port in peers)
            if peers and not self._is_connected:
                self._reason = await asyncio.to_thread(self._other_server, peers)
            elif was_connected and self._is_connected:  # between the two it may still read its workflows
                self._reason = await self._other_namespace(queue) or await self._other_queue(queue)
            else:
                self._reason = NONE
        except Exception:  # noqa: BLE001 - the server cannot be asked now, or a file not be read: it is not known
            self._reason = NONE

    async def _other_queue(self, queue: str) -> Reason:
        from mika.diagnosis.survey import other_queues

        named = set(await asyncio.to_thread(self._queues_in_code))
        temporal = await self._temporal.temporal()
        for other in sorted((named | await other_queues(temporal, [queue])) - self._queues)[:_MOST_QUEUES]:
            if await self._temporal.polls(other, self._is_own):
                text = _("it polls {other}, and not {queue}", other=other, queue=queue)
                fix: str = _("correct the queue in `ready` of [process.{name}], or in its code", name=self._name)
                return Reason(text, fix)
        return NONE

    async def _other_namespace(self, queue: str) -> Reason:
        own = self._temporal.namespace
        for other in await (await self._temporal.temporal()).namespaces():
            if other != own and await self._temporal.polls(queue, self._is_own, other):
                text = _(
                    "it polls {queue} in the namespace {other}, and not in {own}", queue=queue, other=other, own=own
                )
                return Reason(text, _("let it use TEMPORAL_NAMESPACE, which every process gets"))
        return NONE

    def _other_server(self, peers: Collection[tuple[str, int]]) -> Reason:
        """To which Temporal server it is connected instead; NONE if none of the peers may be one."""
        servers = {(ip, port) for ip, port in peers if _is_temporal(ip, port)}
        likely = servers or {(ip, port) for ip, port in peers if is_loopback(ip)}
        if not likely:  # where `go run` or `npx` downloads from, for example
            return NONE
        others = listed(join(ip, port) for ip, port in sorted(likely)[:_MOST_PEERS])
        text = _(
            "it is not connected to Temporal at {address}, but to {others}",
            address=self._temporal.address,
            others=others,
        )
        fix: str = _("let it connect to the address in TEMPORAL_ADDRESS, which every process gets")
        return Reason(text, fix if servers else "")


def _is_temporal(ip: str, port: int) -> bool:
    listener = ports.find_listener(ip, port)
    return port == _USUAL_PORT or (listener is not None and "temporal" in listener.name.lower())
