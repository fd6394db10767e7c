"""Whether a worker that does not poll is connected to another server than the one of the stack."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from mika.address import join
from mika.machine import ports
from mika.reason import NONE, Reason
from mika.wording import _, listed

if TYPE_CHECKING:
    from mika.readiness.temporal import TemporalProbe
    from mika.supervisor.unit import Launch

_EVERY = 3.0
"""Seconds before the first look, and between two: a program opens its connections one after the other."""
_USUAL_PORT = 7233
"""Where a Temporal server listens by default: https://docs.temporal.io/references/configuration#services"""
_MOST = 3


class Elsewhere:
    """Looks at the connections of one worker."""

    def __init__(self, temporal: TemporalProbe, launch: Launch) -> None:
        self._temporal, self._launch = temporal, launch
        self._looked_at, self._reason = time.monotonic(), NONE

    async def reason(self) -> Reason:
        """Where it is connected to, if that is not our server; NONE if it may be ours, or is not known."""
        if time.monotonic() - self._looked_at >= _EVERY:
            self._looked_at = time.monotonic()
            self._reason = await asyncio.to_thread(self._look)
        return self._reason

    def _look(self) -> Reason:
        peers = ports.peers_of(self._launch.pids())
        # By the port alone: a name of the server may have other addresses here than for the worker.
        if not peers or any(port == self._temporal.port for _ip, port in peers):
            return NONE
        servers = {(ip, port) for ip, port in peers if _is_temporal(ip, port)}
        others = listed(join(ip, port) for ip, port in sorted(servers or peers)[:_MOST])
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
