"""The loop over all units: who may start, what the whole stack is, and the stop in reverse order."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any

from mika.errors import MikaError
from mika.events import Bus, StackState
from mika.supervisor import policy
from mika.supervisor.managed import External, Managed
from mika.supervisor.policy import Phase
from mika.supervisor.unit import Unit
from mika.text import unknown_name

_SERVICE_STATES = {Phase.READY: "ready", Phase.UNHEALTHY: "unhealthy"}
_DONE = (Phase.EXITED, Phase.GAVE_UP)
_VERBS: dict[str, policy.Event] = {"start": policy.Start(), "stop": policy.Stop(), "restart": policy.Restart()}


class Supervisor:
    """Runs units until `shutdown`. All methods belong to the event loop's thread."""

    def __init__(self, units: Sequence[Unit], run_id: str, bus: Bus) -> None:
        self.run_id = run_id
        self._bus = bus
        self._started = time.monotonic()
        self._stopping = False
        self._was_ready = False
        self._state = ""
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

    def tell(self, verb: str, names: Sequence[str]) -> list[str]:
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
                managed.kill()

    # --- what the whole is -------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """starting, ready, degraded or stopping."""
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

    def not_ready(self) -> list[tuple[str, str]]:
        """Name and reason of each required unit that is not ready, services first."""
        units: list[Managed | External] = [*self.external.values(), *self.managed.values()]
        late = [u for u in units if u.unit.required and not self._well(u)]
        late.sort(key=lambda u: u.unit.role != "service")
        return [(u.unit.name, u.detail or (u.state if isinstance(u, External) else u.state.phase.value)) for u in late]

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
            self._bus.publish(StackState(state=state))
        self._wake.set()

    # --- status ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """`state`, `services` and `processes` as in the contract of `mika status --json`."""
        services = [_service(external.unit, external.state, external.detail) for external in self.external.values()]
        processes: list[dict[str, Any]] = []
        for managed in self.managed.values():
            if managed.unit.role == "process":
                processes.append(_process(managed))
            else:
                state = _SERVICE_STATES.get(managed.state.phase)
                state = state or ("exited" if managed.state.phase in (*_DONE, Phase.STOPPED) else "starting")
                entry = _service(managed.unit, state, managed.detail)
                process = _process(managed)
                entry |= {k: process[k] for k in ("pid", "restarts", "uptime_s", "rss_mb", "last_exit")}
                entry |= {"phase": managed.state.phase.value, "required": managed.unit.required}
                if managed.unit.container is not None:
                    entry["container"] = managed.unit.container()
                services.append(entry)
        return {"state": self.state, "services": services, "processes": processes}

    @property
    def uptime(self) -> float:
        return time.monotonic() - self._started


def _service(unit: Unit, state: str, detail: str) -> dict[str, Any]:
    return {"name": unit.name, "kind": unit.kind, "state": state, "address": unit.address, "detail": detail}


def _process(managed: Managed) -> dict[str, Any]:
    now = time.monotonic()
    pid, rss = _own_process(managed)
    last = managed.last_exit
    return {
        "name": managed.unit.name,
        "pid": pid,
        "state": Phase.STARTING.value if pid is None and managed.ready else managed.state.phase.value,
        "restarts": managed.state.restarts,
        "uptime_s": round(now - managed.started_at, 1) if managed.started_at is not None else None,
        "rss_mb": rss,
        "last_exit": None
        if last is None
        else {"code": last.code, "reason": last.reason, "ago_s": round(now - managed.exited_at, 1)},
        "detail": managed.detail,
    }


def _own_process(managed: Managed) -> tuple[int | None, float | None]:
    """Pid and RSS (MB) of the service itself: behind a shell that was needed, its only child."""
    import psutil

    if managed.guard is None or managed.guard.exit is not None or not managed.guard.pid:
        return None, None
    pid = managed.guard.pid
    try:
        process = psutil.Process(pid)
        if managed.unit.behind_shell:
            children = process.children()
            process = children[0] if len(children) == 1 else process
        return process.pid, round(process.memory_info().rss / 1e6, 1)
    except (psutil.Error, OSError):
        return pid, None
