"""The loop over all units: who may start, what the whole stack is, and the stop in reverse order."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Literal

from mika.errors import MikaError
from mika.events import Bus, StackChanged
from mika.status import Phase, StackState, UnitStatus
from mika.supervisor import policy
from mika.supervisor.managed import External, Managed
from mika.supervisor.unit import Unit
from mika.text import unknown_name

_DONE = (Phase.EXITED, Phase.GAVE_UP)
Verb = Literal["start", "stop", "restart"]
_VERBS: dict[Verb, policy.Input] = {"start": policy.Start(), "stop": policy.Stop(), "restart": policy.Restart()}


class Supervisor:
    """Runs units until `shutdown`. All methods belong to the event loop's thread."""

    def __init__(self, units: Sequence[Unit], run_id: str, bus: Bus) -> None:
        self.run_id = run_id
        self._bus = bus
        self._started = time.monotonic()
        self._stopping = False
        self._was_ready = False
        self._state: StackState | None = None
        self._staying: list[Managed] = []
        self._held: dict[str, frozenset[str]] = {}  # a restart that waits until these are ready again
        self._wake = asyncio.Event()
        self.managed = {u.name: Managed(u, run_id, bus, self._changed) for u in units if u.spec or u.run}
        self.external = {u.name: External(u, bus, self._changed) for u in units if not (u.spec or u.run)}

    # --- commands ----------------------------------------------------------------------------------------------------

    def start_all(self) -> None:
        for external in self.external.values():
            external.start()
        self._changed()
        for managed in self.managed.values():
            managed.feed(policy.Start())

    def tell(self, verb: Verb, names: Sequence[str]) -> list[str]:
        """`start`, `stop` or `restart` units by name or type (`worker`: worker.1 and worker.2); returns their names.

        Containers are restarted in order: each when those of them that it needs are ready again.
        Raises UsageError for an unknown name before anything is done.
        """
        if self._stopping:
            raise MikaError("the stack is stopping", "wait for it, then `mika up`", code="stopping")
        chosen: dict[str, Managed] = {}
        for name in names:
            found = {m.unit.name: m for m in self.managed.values() if name in (m.unit.name, m.unit.type)}
            if not found:
                raise unknown_name("process", name, sorted(self.managed))
            chosen |= found
        taken = {name for m in chosen.values() for name in (m.unit.name, m.unit.type)}
        held = {}
        for name, managed in chosen.items():
            self._held.pop(name, None)
            needs = taken.intersection(managed.unit.needs)
            # One that runs once waits by itself, and what it needs may not be ready before it has run.
            lasts = managed.state.alive and managed.unit.kind == "container" and managed.unit.rules.restart == "always"
            if verb == "restart" and needs and lasts:
                held[name] = frozenset(needs)
        for managed in [m for name, m in chosen.items() if name not in held]:
            managed.feed(_VERBS[verb])
        self._held |= held  # not before: until it is told, what they need may be ready
        self._changed()
        return list(chosen)

    def files_changed(self, name: str) -> None:
        """Restart it, or revive it if it ended or gave up; what somebody stopped stays stopped."""
        managed = self.managed[name]
        if not self._stopping and (managed.state.wanted or managed.state.phase in _DONE):
            managed.feed(policy.Restart())

    async def shutdown(self, *, keep_containers: bool = False) -> None:
        """Stop gracefully, processes first, then services; returns when nothing is left. `kill_all` hurries it."""
        self._stopping = True
        self._held.clear()
        self._changed()
        for managed in self.managed.values():
            if managed.unit.stays() or (keep_containers and managed.unit.kind == "container"):
                self._staying.append(managed)
        processes = [m for m in self.managed.values() if m.unit.role == "process"]
        for managed in processes:
            managed.feed(policy.Stop())
        await asyncio.gather(*(managed.gone() for managed in processes))
        await asyncio.gather(*(managed.leave() for managed in self._staying))
        services = [m for m in self.managed.values() if m.unit.role == "service" and m not in self._staying]
        # Watchers first: that the UI goes with its server is no news.
        await asyncio.gather(*(external.stop() for external in self.external.values()))
        await self._stop_services(services)

    async def _stop_services(self, services: Sequence[Managed]) -> None:
        """Each one when all that need it are gone: a server whose database goes first cannot end in good order."""
        ended = {m.unit.name: asyncio.Event() for m in services}

        async def stop(managed: Managed) -> None:
            names = {managed.unit.name, managed.unit.type}
            for other in services:
                if other is not managed and not names.isdisjoint(other.unit.needs):
                    await ended[other.unit.name].wait()
            managed.feed(policy.Stop())
            await managed.gone()
            ended[managed.unit.name].set()

        await asyncio.gather(*(stop(managed) for managed in services))

    def kill_all(self) -> None:
        self._stopping = True
        self._held.clear()
        for managed in self.managed.values():
            if managed not in self._staying:
                managed.feed(policy.Stop())
                managed.kill(hurry=True)

    # --- what the whole is -------------------------------------------------------------------------------------------

    @property
    def state(self) -> StackState:
        if self._stopping:
            return "stopping"
        managed_ok = all(self._well(m) for m in self.managed.values() if m.unit.required)
        if managed_ok and all(e.ready for e in self.external.values() if e.unit.required):
            self._was_ready = True
            return "ready"
        return "degraded" if self._was_ready else "starting"

    def _well(self, unit: Managed | External) -> bool:
        return unit.ready or (isinstance(unit, Managed) and self._done_well(unit))

    @staticmethod
    def _done_well(managed: Managed) -> bool:
        return managed.state.phase is Phase.EXITED and managed.last_exit is not None and managed.last_exit.code == 0

    def gave_up(self) -> list[Managed]:
        return [m for m in self.managed.values() if m.state.phase is Phase.GAVE_UP]

    def all_ended(self) -> bool:
        """Every process has ended and none is to be restarted."""
        processes = [m for m in self.managed.values() if m.unit.role == "process"]
        return bool(processes) and all(m.state.phase in _DONE for m in processes)

    def ended_well(self) -> bool:
        return all(self._done_well(m) for m in self.managed.values() if m.unit.role == "process")

    def late(self) -> list[UnitStatus]:
        """Each required unit that is not ready, services first."""
        units: list[Managed | External] = [*self.external.values(), *self.managed.values()]
        late = [unit.status() for unit in units if unit.unit.required and not self._well(unit)]
        return sorted(late, key=lambda unit: unit.role != "service")

    async def changed(self, timeout: float | None = None) -> None:
        """Return when something has changed since the last call, or after `timeout` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._wake.wait()
        self._wake.clear()  # not before: a change between two calls would be lost

    def _changed(self) -> None:
        units: list[Managed | External] = [*self.managed.values(), *self.external.values()]
        late = {
            name
            for unit in units
            if unit.unit.name in self._held or not self._well(unit)
            for name in (unit.unit.name, unit.unit.type)
        }
        for managed in self.managed.values():
            is_open = late.isdisjoint(managed.unit.needs)
            if is_open != managed.state.gate_open:
                managed.feed(policy.Gate(is_open))
        for name in [name for name, needs in self._held.items() if late.isdisjoint(needs)]:
            if self._held.pop(name, None):  # feeding one of them leads back here
                self.managed[name].feed(policy.Restart())
        state = self.state
        if state != self._state:
            self._state = state
            self._bus.publish(StackChanged(state=state))
        self._wake.set()

    # --- status ------------------------------------------------------------------------------------------------------

    def units(self) -> list[UnitStatus]:
        every: list[Managed | External] = [*self.external.values(), *self.managed.values()]
        return [unit.status() for unit in every]

    @property
    def uptime(self) -> float:
        return time.monotonic() - self._started
