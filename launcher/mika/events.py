"""Everything that happens in a stack, as typed events. The console, the event log and other views only listen."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import field
from typing import Any, ClassVar, Literal

from mika.frozen import frozen
from mika.reason import NONE, Reason
from mika.status import StackState


@frozen(kw_only=True)
class Event:
    """Base of all events. `name` is the service or process (empty for the stack); `at` is seconds since the epoch."""

    kind: ClassVar[str] = "event"
    name: str = ""
    at: float = field(default_factory=time.time)

    def as_json(self) -> dict[str, object]:
        """One flat object. A reason becomes `reason` (its text), and `fix` and `repair` if it has them."""
        values: dict[str, object] = {"kind": self.kind}
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Reason):
                values |= {"reason" if key == "text" else key: part for key, part in value.as_json().items()}
            else:
                values[item.name] = value
        return values


@frozen(kw_only=True)
class RungReached(Event):
    """A rung of a readiness ladder was reached, `elapsed` seconds after the wait began."""

    kind: ClassVar[str] = "rung_reached"
    rung: str
    elapsed: float
    detail: str = ""


@frozen(kw_only=True)
class RungWaiting(Event):
    """A rung is not reached yet; `reason` is the latest one."""

    kind: ClassVar[str] = "rung_waiting"
    rung: str
    reason: Reason


@frozen(kw_only=True)
class Waiting(Event):
    """The unit will not be started until its `needs` are ready."""

    kind: ClassVar[str] = "waiting"
    needs: tuple[str, ...]


@frozen(kw_only=True)
class Started(Event):
    kind: ClassVar[str] = "started"
    pid: int
    generation: int


@frozen(kw_only=True)
class Ready(Event):
    kind: ClassVar[str] = "ready"
    elapsed: float
    detail: str = ""


@frozen(kw_only=True)
class Unhealthy(Event):
    kind: ClassVar[str] = "unhealthy"
    reason: Reason


@frozen(kw_only=True)
class Exited(Event):
    """`expected`: a stop was requested, or what runs once has completed.

    `last_lines` are given for an exit that is not expected, and after which there is no restart.
    """

    kind: ClassVar[str] = "exited"
    pid: int
    code: int
    reason: Reason
    expected: bool
    last_lines: tuple[str, ...] = ()


@frozen(kw_only=True)
class BackingOff(Event):
    """The unit will be restarted in `delay` seconds, after `failures` failures in a row."""

    kind: ClassVar[str] = "backing_off"
    delay: float
    failures: int


@frozen(kw_only=True)
class GaveUp(Event):
    kind: ClassVar[str] = "gave_up"
    reason: Reason
    last_lines: tuple[str, ...] = ()


@frozen(kw_only=True)
class Stopping(Event):
    kind: ClassVar[str] = "stopping"


@frozen(kw_only=True)
class Stopped(Event):
    kind: ClassVar[str] = "stopped"


@frozen(kw_only=True)
class StackChanged(Event):
    """The state of the stack has changed."""

    kind: ClassVar[str] = "stack"
    state: StackState


@frozen(kw_only=True)
class Notice(Event):
    """A message to the user that does not belong to another event."""

    kind: ClassVar[str] = "notice"
    level: Literal["info", "warning", "error"]
    message: str


_KINDS: dict[str, type[Event]] = {
    kind.kind: kind
    for kind in (
        RungReached,
        RungWaiting,
        Waiting,
        Started,
        Ready,
        Unhealthy,
        Exited,
        BackingOff,
        GaveUp,
        Stopping,
        Stopped,
        StackChanged,
        Notice,
    )
}


def from_json(value: dict[str, Any]) -> Event | None:
    """Parse what `as_json` wrote. Returns None for an event of another version of mika."""
    kind = _KINDS.get(str(value.get("kind")))
    if kind is None:
        return None
    names = {item.name for item in dataclasses.fields(kind)}
    values: dict[str, Any] = {name: value[name] for name in names & value.keys()}
    for name, part in values.items():
        if isinstance(part, list):
            values[name] = tuple(part)
    if "reason" in names:
        values["reason"] = Reason.from_json({**value, "text": value["reason"]}) if "reason" in value else NONE
    try:
        return kind(**values)
    except TypeError:
        return None


Listener = Callable[[Event], None]


class Bus:
    """Calls every listener for each event, in order, in the thread of the caller."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def publish(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)
