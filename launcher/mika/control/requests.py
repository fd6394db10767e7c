"""The requests of the control channel: one type for each, sent as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import ClassVar, Literal

from mika.decoded import Json
from mika.frozen import frozen

Verb = Literal["start", "stop", "restart"]
_VERBS: dict[str, Verb] = {"start": "start", "stop": "stop", "restart": "restart"}


@frozen
class GetStatus:
    """The answer is a `StackStatus`."""

    op: ClassVar[str] = "status"


@frozen
class Down:
    """Stop the whole stack; with `force`, kill it."""

    op: ClassVar[str] = "down"
    force: bool = False


@frozen
class ControlUnits:
    """Start, stop or restart units by name or type. The answer: their names, and `notes`: what the user should know."""

    op: ClassVar[str] = "control"
    verb: Verb
    names: tuple[str, ...]


@frozen
class DebugUnits:
    """Restart processes for a debugger. The answer: their names, and `notes`: what the user should know."""

    op: ClassVar[str] = "debug"
    names: tuple[str, ...]


Request = GetStatus | Down | ControlUnits | DebugUnits


def to_json(request: Request) -> dict[str, object]:
    return {"op": request.op, **asdict(request)}


def from_json(value: Json) -> Request:
    """Raises KeyError, TypeError or ValueError if `value` does not come from `to_json`."""
    match value["op"]:
        case GetStatus.op:
            return GetStatus()
        case Down.op:
            return Down(force=bool(value["force"]))
        case ControlUnits.op:
            return ControlUnits(_VERBS[value["verb"]], tuple(str(name) for name in value["names"]))
        case DebugUnits.op:
            return DebugUnits(tuple(str(name) for name in value["names"]))
    raise ValueError(f"unknown request {value['op']!r}")
