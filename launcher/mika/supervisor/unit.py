"""What the supervisor is given: one unit for each service and process of the stack."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mika.readiness.ladder import Rung
from mika.status import Kind, Role
from mika.supervisor.guard import Exit, ServiceSpec
from mika.supervisor.policy import Rules
from mika.supervisor.watch import Liveness


@dataclass(frozen=True, slots=True)
class Launch:
    """One start of a unit: what its probes may ask about. `pids` gives the pids of its tree as they are now."""

    generation: int
    run_id: str
    identity: str
    beat_file: Path | None
    pids: Callable[[], Collection[int]]


class Running(Protocol):
    """One start of a unit while it lasts. `pid` 0: it is no process of this machine. Its output is in `log_dir`."""

    @property
    def pid(self) -> int: ...
    @property
    def exit(self) -> Exit | None: ...
    @property
    def log_dir(self) -> Path: ...
    def request_stop(self) -> None: ...
    def kill(self, patience: float = ...) -> None: ...
    async def wait(self) -> Exit:
        """How it ended, as soon as nothing of it is left."""
        ...


Probes = Callable[[Launch], tuple[list[Rung], Liveness | None]]


def no_probes(launch: Launch) -> tuple[list[Rung], Liveness | None]:
    """Ready as soon as it is started."""
    del launch
    return [], None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A service or process. `spec` is what to run under a guard, `run` starts what is no process of ours (a container).

    Neither: it runs elsewhere, and is only watched.

    `required` False: the stack is ready without it (the UI). `needs` are names or types of units that must be ready
    first; one that is not part of this run is not waited for.
    """

    name: str
    type: str
    role: Role
    """`service` or `process`, as in `mika status`."""
    kind: Kind = "process"
    """`process`, `container` or `external`, for services."""
    address: str = ""
    spec: Callable[[Launch], ServiceSpec] | None = None
    run: Callable[[Launch], Running] | None = None
    probes: Probes = no_probes
    needs: tuple[str, ...] = ()
    rules: Rules = field(default_factory=Rules)
    required: bool = True
    beat_file: Path | None = None
    behind_shell: bool = False
    """The pid may be a shell's, and the service its only child."""
    watch: tuple[str, ...] = ()
    """Patterns of the files whose change restarts it, with `mika up --watch`."""
    container: Callable[[], str] | None = None
    """What is known of its container now: the engine's word for its state, or `missing` (not made yet), `removed`,
    `disconnected` (from its network), `unknown`."""
    stays: Callable[[], bool] = lambda: False
    """Whether it is left running at the end of the stack: somebody else has started it."""
