"""Everything that happens is one typed event; the console, the event log and `status` only listen."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events. `name` is the service or process (empty for the stack); `at` is seconds since the epoch."""

    kind: ClassVar[str] = "event"
    name: str = ""
    at: float = field(default_factory=time.time)

    def as_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, **dataclasses.asdict(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RungReached(Event):
    """One step of a readiness ladder was climbed, `elapsed` seconds after the wait began."""

    kind: ClassVar[str] = "rung_reached"
    rung: str
    elapsed: float
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RungWaiting(Event):
    """The rung that is being waited for, with the newest reason why it is not reached."""

    kind: ClassVar[str] = "rung_waiting"
    rung: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting(Event):
    """Not started yet, or held, because what it needs is not ready."""

    kind: ClassVar[str] = "waiting"
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    kind: ClassVar[str] = "started"
    pid: int
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready(Event):
    kind: ClassVar[str] = "ready"
    elapsed: float
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unhealthy(Event):
    kind: ClassVar[str] = "unhealthy"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exited(Event):
    """`expected` is True after a stop that somebody asked for, and for a container that has done its work."""

    kind: ClassVar[str] = "exited"
    pid: int
    code: int
    reason: str
    expected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BackingOff(Event):
    kind: ClassVar[str] = "backing_off"
    delay: float
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GaveUp(Event):
    kind: ClassVar[str] = "gave_up"
    reason: str
    last_lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping(Event):
    kind: ClassVar[str] = "stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped(Event):
    kind: ClassVar[str] = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackState(Event):
    """starting, ready, degraded or stopping."""

    kind: ClassVar[str] = "stack"
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(Event):
    """A sentence for a person: `level` is info, warning or error."""

    kind: ClassVar[str] = "notice"
    level: str
    message: str


Listener = Callable[[Event], None]


class Bus:
    """Hands each event to every listener, in order, on the caller's thread."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def publish(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)
