"""All units of a stack: start them when their needs are ready, derive the state of the stack, stop in reverse order."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Literal

from mika.errors import MikaError, UsageError
from mika.events import Bus, StackChanged
from mika.status import Condition, Phase, StackState, UnitStatus
from mika.supervisor import policy
from mika.supervisor.external import External
from mika.supervisor.guard import Guard
from mika.supervisor.managed import Managed
from mika.supervisor.record import Record
from mika.supervisor.reload import settled_at
from mika.supervisor.survivors import Survivor
from mika.supervisor.unit import Unit
from mika.text import unknown_name
from mika.wording import _

_FINISHED = (Phase.EXITED, Phase.GAVE_UP)
Verb = Literal["start", "stop", "restart"]
_VERBS: dict[Verb, policy.Input] = {"start": policy.Start(), "stop": policy.Stop(), "restart": policy.Restart()}


class Supervisor:
    """Runs units until `shutdown`. All methods must be called from the thread of the event loop."""

    def __init__(self, units: Sequence[Unit], run_id: str, bus: Bus) -> None:
        self.run_id = run_id
        self._bus = bus
        self._started_at = time.monotonic()
        self._stopping = False
        self._was_ready = False
        self._published_state: StackState | None = None
        self._left_running: list[Managed] = []
        self._delayed_restarts: dict[str, frozenset[str]] = {}  # by unit: the names that must be ready again first
        self._has_changed = asyncio.Event()
        self.managed = {u.name: Managed(u, run_id, bus, self._update) for u in units if u.spec or u.run}
        self.external = {u.name: External(u, bus, self._update) for u in units if not (u.spec or u.run)}

    # --- commands ----------------------------------------------------------------------------------------------------

    def start_all(self) -> None:
        for external in self.external.values():
            external.start()
        self._update()
        for managed in self.managed.values():
            managed.feed(policy.Start())

    def debug(self, names: Sequence[str]) -> list[str]:
        """From their next start on, run processes for a debugger, until `control` restarts them; returns their names.

        Raises UsageError for an unknown name, and for a service.
        """
        selected = self.select(names)
        for name, managed in selected.items():
            if managed.unit.role == "service":
                raise UsageError(
                    _("{name} is a service: mika lets a debugger into processes of the Procfile only", name=name)
                )
        for managed in selected.values():
            managed.debug = True
        return list(selected)

    def control(self, verb: Verb, names: Sequence[str], *, debug: bool = False) -> list[str]:
        """Start, stop or restart units by name or type (`worker` selects worker.1 and worker.2); returns their names.

        Containers are restarted in order: each one after the selected units that it needs are ready again.
        `debug`: restart them for a debugger, as `debug` says. Raises UsageError for an unknown name, before any unit is
        changed.
        """
        if self._stopping:
            raise MikaError(
                _("the stack is stopping"), _("wait until it has stopped, then run `mika up`"), code="stopping"
            )
        selected = self.select(names)
        if debug:
            self.debug(names)
        elif verb == "restart":
            for managed in selected.values():
                managed.debug = False
        selected_names = {name for m in selected.values() for name in (m.unit.name, m.unit.type)}
        delayed = {}
        for name, managed in selected.items():
            self._delayed_restarts.pop(name, None)
            needs = selected_names.intersection(managed.unit.needs)
            # A one-shot container is not delayed: it waits for its needs itself, and they may become ready only after
            # it has run.
            is_one_shot = managed.unit.rules.restart != "always"
            is_running_container = managed.state.alive and managed.unit.kind == "container"
            if verb == "restart" and needs and is_running_container and not is_one_shot:
                delayed[name] = frozenset(needs)
        for managed in [m for name, m in selected.items() if name not in delayed]:
            managed.feed(_VERBS[verb])
        self._delayed_restarts |= delayed  # only now: before their own restart began, the needs still counted as ready
        self._update()
        return list(selected)

    def select(self, names: Sequence[str]) -> dict[str, Managed]:
        """The units with these names or types, by name. Raises UsageError for an unknown one."""
        selected: dict[str, Managed] = {}
        for name in names:
            matches = {m.unit.name: m for m in self.managed.values() if name in (m.unit.name, m.unit.type)}
            if not matches:
                raise unknown_name(_("process"), name, sorted(self.managed))
            selected |= matches
        return selected

    def restart_after_change(self, name: str) -> None:
        """Restart a unit whose files have changed, also if it exited or gave up, but not if a user stopped it."""
        managed = self.managed[name]
        if not self._stopping and (managed.state.should_run or managed.state.phase in _FINISHED):
            managed.settled_at = settled_at(managed.settled_at, time.monotonic())
            managed.feed(policy.Restart())

    async def shutdown(self, *, keep_containers: bool = False) -> None:
        """Stop gracefully, processes first, then services. Returns when nothing is left; `kill_all` shortens that."""
        self._stopping = True
        self._delayed_restarts.clear()
        self._update()
        for managed in self.managed.values():
            if managed.unit.outlives_stack() or (keep_containers and managed.unit.kind == "container"):
                self._left_running.append(managed)
        processes = self.processes()
        for managed in processes:
            managed.feed(policy.Stop())
        await asyncio.gather(*(managed.wait_until_gone() for managed in processes))
        await asyncio.gather(*(managed.detach() for managed in self._left_running))
        services = [m for m in self.managed.values() if m.unit.role == "service" and m not in self._left_running]
        # Stop the watchers first: they would report units such as the UI, which goes away with its server.
        await asyncio.gather(*(external.stop() for external in self.external.values()))
        await self._stop_services(services)

    async def _stop_services(self, services: Sequence[Managed]) -> None:
        """Stop each service after all services that need it: a server cannot shut down cleanly without its database."""
        stopped = {m.unit.name: asyncio.Event() for m in services}

        async def stop(managed: Managed) -> None:
            names = {managed.unit.name, managed.unit.type}
            for other in services:
                if other is not managed and not names.isdisjoint(other.unit.needs):
                    await stopped[other.unit.name].wait()
            managed.feed(policy.Stop())
            await managed.wait_until_gone()
            stopped[managed.unit.name].set()

        await asyncio.gather(*(stop(managed) for managed in services))

    def kill_all(self) -> None:
        """Kill everything now; `shutdown` returns soon after."""
        self._stopping = True
        self._delayed_restarts.clear()
        for managed in self.managed.values():
            if managed not in self._left_running:
                managed.feed(policy.Stop())
                managed.kill(urgent=True)

    # --- the state of the stack --------------------------------------------------------------------------------------

    @property
    def state(self) -> StackState:
        if self._stopping:
            return "stopping"
        managed_ok = all(self._is_ok(m) for m in self.managed.values() if m.unit.required)
        if managed_ok and all(e.ready for e in self.external.values() if e.unit.required):
            self._was_ready = True
            return "ready"
        return "degraded" if self._was_ready else "starting"

    def _is_ok(self, unit: Managed | External) -> bool:
        return unit.ready or (isinstance(unit, Managed) and self._has_succeeded(unit))

    @staticmethod
    def _has_succeeded(managed: Managed) -> bool:
        return managed.state.phase is Phase.EXITED and managed.last_exit is not None and managed.last_exit.code == 0

    def units_given_up(self) -> list[Managed]:
        return [m for m in self.managed.values() if m.state.phase is Phase.GAVE_UP]

    def units_failed(self) -> list[Managed]:
        """Those that gave up, and those that were to run once and exited with another code than 0."""
        return [m for m in self.managed.values() if m.state.phase in _FINISHED and not self._has_succeeded(m)]

    def units_hopeless(self) -> list[External]:
        """Those that run elsewhere and for which waiting does not help."""
        return [external for external in self.external.values() if external.is_hopeless and external.unit.required]

    def end_code(self) -> int | None:
        """The exit code for the stack: that of the first failed process with `ends`, or 0 when all of them are done."""
        ending = [m for m in self.managed.values() if m.unit.ends]
        finished = [m for m in ending if m.state.phase in _FINISHED]
        for code in [m.last_exit.code for m in finished if m.last_exit is not None]:
            if code:
                return 128 - code if code < 0 else code  # as a shell tells it
        return 0 if ending and len(finished) == len(ending) else None

    def is_done(self) -> bool:
        """Whether every process has exited for good. One that should always run has not: its user may revive it."""
        processes = self.processes()
        if any(m.state.phase is Phase.GAVE_UP and m.unit.rules.restart == "always" for m in processes):
            return False
        return bool(processes) and all(m.state.phase in _FINISHED and not m.survivors for m in processes)

    def processes(self) -> list[Managed]:
        return [m for m in self.managed.values() if m.unit.role == "process"]

    def processes_failed(self) -> list[Managed]:
        return [m for m in self.units_failed() if m.unit.role == "process"]

    def units_not_ready(self) -> list[UnitStatus]:
        """The required units that are not ready, services first."""
        units: list[Managed | External] = [*self.external.values(), *self.managed.values()]
        not_ready = [unit.status() for unit in units if unit.unit.required and not self._is_ok(unit)]
        return sorted(not_ready, key=lambda unit: unit.role != "service")

    def survivors(self) -> list[Survivor]:
        """Processes that could not be killed."""
        return [survivor for managed in self.managed.values() for survivor in managed.survivors]

    def records(self) -> list[Record]:
        """Of all trees that have a guard."""
        guards = [managed.guard for managed in self.managed.values() if isinstance(managed.guard, Guard)]
        return [guard.record for guard in guards if guard.record is not None]

    async def wait_for_change(self, timeout: float | None = None) -> None:
        """Return when something has changed since the last call, or after `timeout` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._has_changed.wait()
        self._has_changed.clear()  # not at the start of the call: a change between two calls would be lost

    def _update(self) -> None:
        """After a change of a unit: open and close gates, do restarts that are due, publish the state of the stack."""
        unmet: dict[Condition, set[str]] = {
            "ready": self._names(lambda unit: not self._is_ok(unit)),
            "completed": self._names(lambda unit: not (isinstance(unit, Managed) and self._has_succeeded(unit))),
            "started": self._names(lambda unit: not (self._is_ok(unit) or self._has_started(unit))),
        }
        for managed in self.managed.values():
            conditions = managed.unit.conditions
            is_open = all(need not in unmet[conditions.get(need, "ready")] for need in managed.unit.needs)
            if is_open != managed.state.gate_open:
                managed.feed(policy.Gate(is_open))
        not_ready = unmet["ready"]
        for name in [name for name, needs in self._delayed_restarts.items() if not_ready.isdisjoint(needs)]:
            if self._delayed_restarts.pop(name, None):  # `feed` calls `_update` again, which may have done this one
                self.managed[name].feed(policy.Restart())
        state = self.state
        if state != self._published_state:
            self._published_state = state
            self._bus.publish(StackChanged(state=state))
        self._has_changed.set()

    def _names(self, is_unmet: Callable[[Managed | External], bool]) -> set[str]:
        """The names and types of the units for which that is true, and of those whose restart is delayed."""
        units: list[Managed | External] = [*self.managed.values(), *self.external.values()]
        return {
            name
            for unit in units
            if unit.unit.name in self._delayed_restarts or is_unmet(unit)
            for name in (unit.unit.name, unit.unit.type)
        }

    @staticmethod
    def _has_started(unit: Managed | External) -> bool:
        return isinstance(unit, External) or unit.started_at is not None

    # --- status ------------------------------------------------------------------------------------------------------

    def units(self) -> list[UnitStatus]:
        units: list[Managed | External] = [*self.external.values(), *self.managed.values()]
        return [unit.status() for unit in units]

    @property
    def uptime(self) -> float:
        """Seconds since this supervisor was created."""
        return time.monotonic() - self._started_at
