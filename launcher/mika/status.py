"""The state of the stack and of each unit in it: made by the supervisor, read by every command. JSON at its edges.

`as_json` of a `StackStatus` is the object of `mika status --json`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Self

from mika.reason import NONE, Reason

StackState = Literal["starting", "ready", "degraded", "stopping"]
Role = Literal["service", "process"]
Kind = Literal["process", "container", "external"]


class Phase(StrEnum):
    """What a unit is doing; the `state` of a process in `mika status --json`."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    UNHEALTHY = "unhealthy"
    BACKOFF = "backoff"
    STOPPING = "stopping"
    STOPPED = "stopped"
    EXITED = "exited"
    GAVE_UP = "gave_up"


AT_REST = frozenset({Phase.STOPPED, Phase.EXITED, Phase.GAVE_UP})
"""Nothing brings a unit out of these by itself."""

# A service has four states in the contract, and its phase beside that.
_SERVICE_STATE = {Phase.READY: "ready", Phase.UNHEALTHY: "unhealthy"} | dict.fromkeys(AT_REST, "exited")


def type_of(name: str) -> str:
    """The name in the Procfile of an instance: `worker` of worker.1. Of a unit that is known, ask its `type`."""
    return name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class LastExit:
    """How the newest run of a unit ended, and how many seconds ago. Code as in subprocess: negative for a signal."""

    code: int
    reason: Reason
    ago_s: float

    def as_json(self) -> dict[str, Any]:
        return {"code": self.code, "reason": self.reason.text, "ago_s": self.ago_s}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStatus:
    """One service or process. `pid` is its own, not a guard's; None while it does not run, and for containers."""

    name: str
    role: Role
    phase: Phase
    type: str = ""
    """The name in the Procfile (`worker` of worker.1), or what a service is (`mongodb`)."""
    kind: Kind = "process"
    address: str = ""
    reason: Reason = NONE
    """Why it is in this phase; of one that is ready, what it does."""
    required: bool = True
    pid: int | None = None
    restarts: int = 0
    uptime_s: float | None = None
    rss_mb: float | None = None
    last_exit: LastExit | None = None
    container: str = ""
    """Docker's word for the state of its container, or `missing`, `removed`, `disconnected`, `unknown`."""

    @property
    def state(self) -> str:
        """The state as the contract names it."""
        return _SERVICE_STATE.get(self.phase, "starting") if self.role == "service" else self.phase.value

    def is_called(self, name: str) -> bool:
        """Whether a person who writes `name` means this unit: by its own name, or as one of its type."""
        return name in (self.name, self.type)

    @property
    def is_ready(self) -> bool:
        return self.phase is Phase.READY

    @property
    def has_given_up(self) -> bool:
        return self.phase is Phase.GAVE_UP

    @property
    def is_at_rest(self) -> bool:
        """It does not run, and nothing but a command brings it back."""
        return self.phase in AT_REST and self.pid is None

    @property
    def is_done(self) -> bool:
        """What runs once (a set-up service, a process with `restart = "never"`) has done its work."""
        return self.phase is Phase.EXITED and self.last_exit is not None and self.last_exit.code == 0

    @property
    def has_failed(self) -> bool:
        """It will not run again by itself, and did not do its work."""
        return self.has_given_up or (self.phase is Phase.EXITED and not self.is_done)

    @property
    def is_well(self) -> bool:
        return self.is_ready or self.is_done

    def as_json(self) -> dict[str, Any]:
        common = {
            "name": self.name,
            "type": self.type,
            "state": self.state,
            "phase": self.phase.value,
            "address": self.address,
            "detail": self.reason.text,
            "fix": self.reason.fix,
            "repair": self.reason.as_json().get("repair"),
            "required": self.required,
            "pid": self.pid,
            "restarts": self.restarts,
            "uptime_s": self.uptime_s,
            "rss_mb": self.rss_mb,
            "last_exit": self.last_exit.as_json() if self.last_exit is not None else None,
        }
        if self.role == "service":
            common["kind"] = self.kind
        if self.container:
            common["container"] = self.container
        return common

    @classmethod
    def from_json(cls, role: Role, value: Any) -> Self:
        """Raises KeyError, TypeError or ValueError for what `as_json` did not write."""
        last = value["last_exit"]
        return cls(
            name=value["name"],
            role=role,
            phase=Phase(value["phase"]),
            type=value["type"],
            kind=value.get("kind", "process"),
            address=value["address"],
            reason=Reason.from_json({"text": value["detail"], "fix": value["fix"], "repair": value["repair"]}),
            required=value["required"],
            pid=value["pid"],
            restarts=value["restarts"],
            uptime_s=value["uptime_s"],
            rss_mb=value["rss_mb"],
            last_exit=LastExit(last["code"], Reason(last["reason"]), last["ago_s"]) if last is not None else None,
            container=value.get("container", ""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StackStatus:
    """The whole stack. `busy_s`: seconds of the start that are not counted as waiting (images were pulled)."""

    state: StackState
    backend: str
    supervisor_pid: int
    uptime_s: float
    busy_s: float = 0.0
    services: tuple[UnitStatus, ...] = ()
    processes: tuple[UnitStatus, ...] = ()
    urls: dict[str, str] = field(default_factory=dict)

    @property
    def units(self) -> tuple[UnitStatus, ...]:
        return (*self.services, *self.processes)

    def unit(self, name: str) -> UnitStatus | None:
        return next((unit for unit in self.units if unit.name == name), None)

    def called(self, name: str) -> tuple[UnitStatus, ...]:
        """The units that a person who writes `name` means; empty for an unknown name."""
        return tuple(unit for unit in self.units if unit.is_called(name))

    def of_types(self, types: Iterable[str]) -> tuple[UnitStatus, ...]:
        """The processes of these types."""
        wanted = frozenset(types)
        return tuple(process for process in self.processes if process.type in wanted)

    def as_json(self) -> dict[str, Any]:
        return {
            "version": 1,
            "state": self.state,
            "backend": self.backend,
            "supervisor": {"pid": self.supervisor_pid, "uptime_s": self.uptime_s, "busy_s": self.busy_s},
            "services": [service.as_json() for service in self.services],
            "processes": [process.as_json() for process in self.processes],
            "urls": self.urls,
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Raises KeyError, TypeError or ValueError for what `as_json` did not write."""
        return cls(
            state=value["state"],
            backend=value["backend"],
            supervisor_pid=value["supervisor"]["pid"],
            uptime_s=value["supervisor"]["uptime_s"],
            busy_s=value["supervisor"]["busy_s"],
            services=tuple(UnitStatus.from_json("service", service) for service in value["services"]),
            processes=tuple(UnitStatus.from_json("process", process) for process in value["processes"]),
            urls=value["urls"],
        )
