"""The input of the supervisor: one unit for each service and process of the stack."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mika.frozen import frozen
from mika.readiness.ladder import Rung
from mika.reason import Reason
from mika.status import Condition, Kind, Phase, Role, UnitStatus
from mika.supervisor.guard import Exit, ServiceSpec
from mika.supervisor.policy import Rules
from mika.supervisor.watch import Liveness
from mika.wording import _

if TYPE_CHECKING:
    from mika.supervisor.diagnose import Missing


@frozen
class Launch:
    """One start of a unit, as its probes need it. `pids` returns the pids that its tree has at the moment."""

    generation: int
    run_id: str
    identity: str
    beat_file: Path | None
    pids: Callable[[], Collection[int]]
    debug: bool = False
    """A debugger may hold it for as long as somebody thinks: nothing may take that for a hang."""


class Running(Protocol):
    """A started unit, until it exits. `pid` is 0 if it is not a process on this machine. Its log is in `log_dir`."""

    @property
    def pid(self) -> int: ...
    @property
    def exit(self) -> Exit | None: ...
    @property
    def log_dir(self) -> Path: ...
    def request_stop(self) -> None: ...
    def kill(self, patience: float = ...) -> None: ...
    async def wait(self) -> Exit:
        """Wait until nothing of it is left."""
        ...


Probes = Callable[[Launch], tuple[list[Rung], Liveness | None]]


def no_probes(launch: Launch) -> tuple[list[Rung], Liveness | None]:
    """The probes of a unit that counts as ready when it has been alive for a moment."""
    del launch
    return [], None


@frozen(kw_only=True)
class Unit:
    """A service or process.

    `spec` returns what to run under a guard. `run` starts something else, such as a container. A unit with neither runs
    elsewhere and is only watched.

    The stack can be ready without a unit that is not `required` (the UI). `needs` are the names or types of units that
    must be ready, or fulfil another condition, before this one is started; those that are not part of this run are
    ignored.
    """

    name: str
    type: str
    role: Role
    """`service` or `process`, as in `mika status`."""
    kind: Kind = "process"
    """How a service is run: `process`, `container` or `external`."""
    address: str = ""
    spec: Callable[[Launch], ServiceSpec] | None = None
    run: Callable[[Launch], Running] | None = None
    probes: Probes = no_probes
    needs: tuple[str, ...] = ()
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    """Those of `needs` whose condition is not `ready`."""
    rules: Rules = field(default_factory=Rules)
    required: bool = True
    beat_file: Path | None = None
    behind_shell: bool = False
    """The pid may belong to a shell whose only child is the service."""
    watch: tuple[str, ...] = ()
    """With `mika up --watch`, a change of a file that matches one of these patterns restarts the unit."""
    watches_imports: bool = False
    """Of the Python files that match, only those that it imports, as far as that is known."""
    container: Callable[[], str] | None = None
    """Returns the current state of its container: the engine's word for it, or `missing` (not created yet), `removed`,
    `disconnected` (from its network), `unknown`."""
    ends: bool = False
    """The stack ends with it, and with its exit code."""
    ready_timeout: float = 0.0
    """Seconds after which a start that is not ready has failed; 0: never."""
    check: bool = True
    """Check new code of it against the open runs before it replaces the old."""
    port: int | None = None
    """The PORT in its environment."""
    probed_port: int | None = None
    """The port of this machine by which it counts as ready."""
    note: str = ""
    """What is to be said before it is started."""
    fix_for_missing: Callable[[Missing], str] = lambda _missing: ""
    """Returns the fix where it did not find something; empty if none is known. Blocks."""
    outlives_stack: Callable[[], bool] = lambda: False
    """Whether to leave it running when the stack stops, because it was started by someone else."""

    def status(self, phase: Phase, reason: Reason) -> UnitStatus:
        """The part of its status that every kind of unit has."""
        return UnitStatus(
            name=self.name,
            type=self.type,
            role=self.role,
            kind=self.kind,
            phase=phase,
            address=self.address,
            reason=reason,
            required=self.required,
        )

    def shown_needs(self) -> tuple[str, ...]:
        """`needs` for people: `temporal`, `migrate to be completed`."""
        return tuple(_need(name, self.conditions.get(name)) for name in self.needs)


def _need(name: str, condition: Condition | None) -> str:
    match condition:
        case "ready":
            return _("{name} to be ready", name=name)
        case "completed":
            return _("{name} to be completed", name=name)
        case "started":
            return _("{name} to be started", name=name)
    return name
