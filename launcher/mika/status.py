"""The status of the stack and of each unit in it. The supervisor creates it, and every command reads it.

`StackStatus.as_json` returns the object that `mika status --json` prints.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from enum import StrEnum
from typing import Literal, Self

from mika.decoded import Json
from mika.frozen import frozen
from mika.reason import NONE, Reason
from mika.wording import _

StackState = Literal["starting", "ready", "degraded", "stopping"]
Role = Literal["service", "process"]
Kind = Literal["process", "container", "external"]
Condition = Literal["ready", "completed", "started"]
"""What a unit waits for in another one that it needs."""


class Phase(StrEnum):
    """The phase of a unit; for a process, this is the `state` in `mika status --json`."""

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
"""A unit in one of these phases does not leave it without a command."""

# In `mika status --json`, a service has only four states; its phase is a separate field.
_SERVICE_STATE = {Phase.READY: "ready", Phase.UNHEALTHY: "unhealthy"} | dict.fromkeys(AT_REST, "exited")

IN_WORDS = {
    Phase.WAITING: _("waiting"),
    Phase.STARTING: _("starting"),
    Phase.READY: _("ready"),
    Phase.UNHEALTHY: _("unhealthy"),
    Phase.BACKOFF: _("backoff"),
    Phase.STOPPING: _("stopping"),
    Phase.STOPPED: _("stopped"),
    Phase.EXITED: _("exited"),
    Phase.GAVE_UP: _("gave up"),
}


def type_of(name: str) -> str:
    """The name in the Procfile of an instance: `worker` of worker.1. Of a unit that is known, ask its `type`."""
    return name.partition(".")[0]


@frozen
class LastExit:
    """The last exit of a unit, `ago_s` seconds ago. The code is as in subprocess: negative for a signal."""

    code: int
    reason: Reason
    ago_s: float

    def as_json(self) -> dict[str, object]:
        return {"code": self.code, "reason": self.reason.text, "ago_s": self.ago_s}


@frozen(kw_only=True)
class UnitStatus:
    """One service or process. `pid` is its own pid, not the guard's; None if it is not running or is a container."""

    name: str
    role: Role
    phase: Phase
    type: str = ""
    """The name in the Procfile (`worker` for worker.1), or the kind of service (`mongodb`)."""
    kind: Kind = "process"
    address: str = ""
    reason: Reason = NONE
    """Why it is in this phase; if it is ready, what it is doing."""
    required: bool = True
    pid: int | None = None
    port: int | None = None
    """The PORT in the environment of a process; whether it listens there is its own affair."""
    listens: tuple[str, ...] = ()
    """Where a process and its children really listen: `host:port`."""
    held_back: Reason = NONE
    """With `--watch`: why newer code has not replaced what runs."""
    failing: Reason = NONE
    """What ended it at least twice in a row, if it runs again and has not proved itself since."""
    debug: bool = False
    """It runs for a debugger, which may hold it: silence means nothing."""
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

    @property
    def state_in_words(self) -> str:
        return IN_WORDS[Phase(self.state)]

    def matches(self, name: str) -> bool:
        """Whether `name`, as users write it, selects this unit: it is the unit's name or type."""
        return name in (self.name, self.type)

    @property
    def is_ready(self) -> bool:
        return self.phase is Phase.READY

    @property
    def has_given_up(self) -> bool:
        return self.phase is Phase.GAVE_UP

    @property
    def is_at_rest(self) -> bool:
        """Whether it is not running and will not start without a command."""
        return self.phase in AT_REST and self.pid is None

    @property
    def is_to_stop(self) -> bool:
        """Whether a stop ends it: not what only waits for its start, nor a server that mika only watches."""
        never_started = self.phase is Phase.WAITING and self.pid is None
        return not (self.is_at_rest or never_started or self.kind == "external")

    @property
    def is_done(self) -> bool:
        """Whether a unit that runs once (a set-up service, a process with `restart = "never"`) has succeeded."""
        return self.phase is Phase.EXITED and self.last_exit is not None and self.last_exit.code == 0

    @property
    def has_failed(self) -> bool:
        """Whether it did not succeed and will not be restarted."""
        return self.has_given_up or (self.phase is Phase.EXITED and not self.is_done)

    @property
    def is_ok(self) -> bool:
        return self.is_ready or self.is_done

    def as_json(self) -> dict[str, object]:
        common: dict[str, object] = {
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
            "port": self.port,
            "listens": list(self.listens),
            "held_back": self.held_back.as_json() if self.held_back else None,
            "failing": self.failing.as_json() if self.failing else None,
            "debug": self.debug,
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
    def from_json(cls, role: Role, value: Json) -> Self:
        """Raises KeyError, TypeError or ValueError if `value` does not come from `as_json`."""
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
            port=value["port"],
            listens=tuple(value["listens"]),
            held_back=Reason.from_json(value["held_back"]) if value["held_back"] else NONE,
            failing=Reason.from_json(value["failing"]) if value.get("failing") else NONE,
            debug=value["debug"],
            restarts=value["restarts"],
            uptime_s=value["uptime_s"],
            rss_mb=value["rss_mb"],
            last_exit=LastExit(last["code"], Reason(last["reason"]), last["ago_s"]) if last is not None else None,
            container=value.get("container", ""),
        )


@frozen(kw_only=True)
class StackStatus:
    """The whole stack. `busy_s`: how long images were pulled during the start; it does not count for timeouts."""

    state: StackState
    backend: str
    supervisor_pid: int
    uptime_s: float
    busy_s: float = 0.0
    services: tuple[UnitStatus, ...] = ()
    processes: tuple[UnitStatus, ...] = ()
    urls: dict[str, str] = field(default_factory=dict)
    left_out: str = ""
    """Which services of the compose file are, and why, in one line."""
    concerns: tuple[Reason, ...] = ()
    """What is not as it should be with the services of the compose file, since the start."""

    @property
    def units(self) -> tuple[UnitStatus, ...]:
        return (*self.services, *self.processes)

    def unit(self, name: str) -> UnitStatus | None:
        return next((unit for unit in self.units if unit.name == name), None)

    def matching(self, name: str) -> tuple[UnitStatus, ...]:
        """The units that `name` selects; empty for an unknown name."""
        return tuple(unit for unit in self.units if unit.matches(name))

    def of_types(self, types: Iterable[str]) -> tuple[UnitStatus, ...]:
        """The processes of these types."""
        selected = frozenset(types)
        return tuple(process for process in self.processes if process.type in selected)

    @property
    def addresses(self) -> dict[str, str]:
        """For people, by name: the URLs, and where the processes listen that are not asked by HTTP."""
        others = {unit.name: ", ".join(unit.listens) for unit in self.processes if unit.type not in self.urls}
        return {name: text for name, text in others.items() if text} | self.urls

    def as_json(self) -> dict[str, object]:
        return {
            "version": 1,
            "state": self.state,
            "backend": self.backend,
            "supervisor": {"pid": self.supervisor_pid, "uptime_s": self.uptime_s, "busy_s": self.busy_s},
            "services": [service.as_json() for service in self.services],
            "processes": [process.as_json() for process in self.processes],
            "urls": self.urls,
            "left_out": self.left_out,
            "concerns": [concern.as_json() for concern in self.concerns],
        }

    @classmethod
    def from_json(cls, value: Json) -> Self:
        """Raises KeyError, TypeError or ValueError if `value` does not come from `as_json`."""
        return cls(
            state=value["state"],
            backend=value["backend"],
            supervisor_pid=value["supervisor"]["pid"],
            uptime_s=value["supervisor"]["uptime_s"],
            busy_s=value["supervisor"]["busy_s"],
            services=tuple(UnitStatus.from_json("service", service) for service in value["services"]),
            processes=tuple(UnitStatus.from_json("process", process) for process in value["processes"]),
            urls=value["urls"],
            left_out=value["left_out"],
            concerns=tuple(map(Reason.from_json, value["concerns"])),
        )
