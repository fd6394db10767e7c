"""A unit that somebody else runs: watched, never started or stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from mika import events, tasks
from mika.events import Bus
from mika.reason import NONE, Reason
from mika.status import Phase, UnitStatus
from mika.supervisor.unit import Launch, Unit
from mika.supervisor.watch import watch


class External:
    """A unit that runs elsewhere: it is watched, but never started or stopped."""

    def __init__(self, unit: Unit, bus: Bus, on_change: Callable[[], None]) -> None:
        self.unit = unit
        self.phase = Phase.STARTING
        self.reason = NONE
        self.is_hopeless = False
        """Waiting for it does not help."""
        self._bus, self._on_change = bus, on_change
        self._began = time.monotonic()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        launch = Launch(0, "", "", None, tuple)
        rungs, liveness = self.unit.probes(launch)
        self._task = asyncio.create_task(watch(rungs, liveness, self), name=self.unit.name)

    async def stop(self) -> None:
        if self._task is not None:
            await tasks.cancel(self._task)

    @property
    def ready(self) -> bool:
        return self.phase is Phase.READY

    def status(self) -> UnitStatus:
        return self.unit.status(self.phase, self.reason)

    def rung_reached(self, rung: str, elapsed: float, detail: str) -> None:
        self._bus.publish(events.RungReached(name=self.unit.name, rung=rung, elapsed=elapsed, detail=detail))

    def rung_waiting(self, rung: str, reason: Reason) -> None:
        self.reason, self.is_hopeless = reason.within(rung), False
        self._bus.publish(events.RungWaiting(name=self.unit.name, rung=rung, reason=reason))

    def hopeless(self, reason: Reason) -> None:
        self.reason, self.is_hopeless = reason, True
        self._on_change()

    def became_ready(self, detail: str) -> None:
        self.phase, self.reason, self.is_hopeless = Phase.READY, Reason(detail), False
        self._bus.publish(events.Ready(name=self.unit.name, elapsed=time.monotonic() - self._began, detail=detail))
        self._on_change()

    def became_unready(self, reason: Reason) -> None:
        self.phase, self.reason = Phase.UNHEALTHY, reason
        self._bus.publish(events.Unhealthy(name=self.unit.name, reason=reason))
        self._on_change()

    def hung(self, reason: Reason) -> None:
        self.became_unready(reason)
