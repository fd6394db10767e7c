"""Where a history and the code part: the event, the task that decided it, and the line that raises."""

from __future__ import annotations

import bisect
import os
import re
import sysconfig
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .commands import Asked

_STDLIB = os.path.join(os.path.realpath(sysconfig.get_paths()["stdlib"]), "")
_NAMES = {
    "activity_task_scheduled_event_attributes": "activity_type",
    "start_child_workflow_execution_initiated_event_attributes": "workflow_type",
}
_OF_UPDATES = (
    "workflow_execution_update_accepted_event_attributes",
    "workflow_execution_update_completed_event_attributes",
)
_NAMED_IN_TEXT = {
    "Activity type of scheduled event": "activity_task_scheduled_event_attributes",
    "Child workflow type of scheduled event": "start_child_workflow_execution_initiated_event_attributes",
}
_ORDINARY_FAILURES = (1, 13, 17, 18, 20, 39)
"""Causes of a failed workflow task that say nothing about the code: an unhandled command, a reset, a forced close, a
pause (enums/v1/failed_cause.proto of the Temporal API)."""


class Task(NamedTuple):
    """A completed workflow task: its id, that of the last event it decided, and the number of events up to that."""

    event_id: int
    last: int
    end: int


class Raised(NamedTuple):
    text: str
    where: list[object] | None
    """[file, line]"""


def is_own(file: str) -> bool:
    """Whether it is the project's own source: not a library's, not Python's."""
    if file.startswith("<") or f"{os.sep}site-packages{os.sep}" in file or f"{os.sep}dist-packages{os.sep}" in file:
        return False
    return not os.path.realpath(file).startswith(_STDLIB) and f"{os.sep}mika_inside{os.sep}" not in file


def step_name(event: Any) -> str | None:
    """The type of the activity or child workflow that an event schedules."""
    field = event.WhichOneof("attributes")
    kind = _NAMES.get(field)
    return str(getattr(getattr(event, field), kind).name) if kind else None


def decided_by(event: Any, tasks: Sequence[Task]) -> int | None:
    """The id of the workflow task whose code decided this event; None for what came from outside."""
    position = bisect.bisect_left(tasks, event.event_id, key=lambda task: task.event_id) - 1
    return tasks[position].event_id if position >= 0 and event.event_id <= tasks[position].last else None


def _is_decided(event: Any, task_id: int) -> bool:
    """Whether an event that follows the task's own is of its making. Those of updates do not name their task."""
    name = event.WhichOneof("attributes")
    if name in _OF_UPDATES:
        return True
    return getattr(getattr(event, name), "workflow_task_completed_event_id", 0) == task_id


def completed_tasks(events: Sequence[Any]) -> list[Task]:
    tasks = []
    for number, event in enumerate(events):
        if event.HasField("workflow_task_completed_event_attributes"):
            end = number + 1
            while end < len(events) and _is_decided(events[end], event.event_id):
                end += 1
            tasks.append(Task(event.event_id, events[end - 1].event_id, end))
    return tasks


def was_stuck(events: Sequence[Any]) -> bool:
    """Its last workflow task has failed: the code that runs now does not fit either."""
    for event in reversed(events):
        if event.HasField("workflow_task_completed_event_attributes"):
            return False
        if event.HasField("workflow_task_failed_event_attributes"):
            return event.workflow_task_failed_event_attributes.cause not in _ORDINARY_FAILURES
    return False


def raised(text: str) -> Raised:
    """What the core says: a debug print, in which the message and the stack are fields."""
    frames = re.findall(r'File "([^"]+)", line (\d+)', _field("stack_trace", text) or "")
    own = [frame for frame in frames if is_own(frame[0])]
    where = (own or frames or [None])[-1]
    return Raised((_field("message", text) or text)[:600], [where[0], int(where[1])] if where else None)


def _field(name: str, text: str) -> str | None:
    match = re.search(name + r': "((?:[^"\\]|\\.)*)"', text)
    if match is None:
        return None
    return re.sub(r"\\(.)", lambda escaped: {"n": "\n", "t": "\t"}.get(escaped[1], escaped[1]), match[1])


def find_event(text: str, events: Sequence[Any], asked: Asked | None, task: int | None) -> list[object] | None:
    """The event that does not fit, as [id, type, name]: by the core's words, by the steps, or by the task."""
    match = re.search(r"HistoryEvent\(id: (\d+), \w+\)", text)
    if match is not None:
        return _described(next((event for event in events if event.event_id == int(match[1])), None))
    for words, field in _NAMED_IN_TEXT.items():
        match = re.search(words + r" '([^']*)'", text)
        named = [event for event in events if match and event.HasField(field) and step_name(event) == match[1]]
        if len(named) == 1:
            return _described(named[0])
    if asked is not None:
        return _described(asked.event)
    tasks = completed_tasks(events)
    return _described(next((event for event in events if task and decided_by(event, tasks) == task), None))


def is_later(asked: Asked, task: int | None, events: Sequence[Any]) -> bool:
    """Whether the first difference in kinds and names comes after the task that decided otherwise."""
    decided = decided_by(asked.event, completed_tasks(events))
    return task is not None and decided is not None and decided > task


def _described(event: Any) -> list[object] | None:
    if event is None:
        return None
    words = event.WhichOneof("attributes").removesuffix("_event_attributes").split("_")
    return [event.event_id, "".join(word.capitalize() for word in words), step_name(event)]


def not_after(task: int | None, event: list[object] | None, events: Sequence[Any]) -> int | None:
    """The point of a reset is never later than the task that decided the event which does not fit."""
    if task is None or event is None:
        return task
    tasks = completed_tasks(events)
    decided = next((decided_by(each, tasks) for each in events if each.event_id == event[0]), None)
    return min(task, decided) if decided else task
