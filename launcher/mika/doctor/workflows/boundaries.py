"""Where a history can be cut for a reset, and what then runs again. Pure: a history in, event ids and names out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mika.diagnosis import proto
from mika.diagnosis.proto import EventType
from mika.wording import _

if TYPE_CHECKING:
    from temporalio.api.history.v1 import HistoryEvent

_ENDS = frozenset({EventType.TASK_COMPLETED, EventType.TASK_FAILED, EventType.TASK_TIMED_OUT})
_ENDED = {
    EventType.ACTIVITY_COMPLETED: "activity_task_completed_event_attributes",
    EventType.ACTIVITY_FAILED: "activity_task_failed_event_attributes",
    EventType.ACTIVITY_TIMED_OUT: "activity_task_timed_out_event_attributes",
    EventType.ACTIVITY_CANCELED: "activity_task_canceled_event_attributes",
}


def boundaries(events: Sequence[HistoryEvent]) -> list[int]:
    """The ids to which a reset is possible: the ends of workflow tasks, and of an open task its start."""
    written = [event for event in events if event.task_id or event.event_id == 1]
    ids = [event.event_id for event in written if event.event_type in _ENDS]
    started = [event.event_id for event in written if event.event_type == EventType.TASK_STARTED]
    return [*ids, *(event_id for event_id in started[-1:] if event_id > max(ids, default=0))]


def of_activity(events: Sequence[HistoryEvent], name: str) -> int | None:
    """The workflow task that asked for the last activity of this type; None if there was none."""
    asked = [
        event.activity_task_scheduled_event_attributes
        for event in events
        if event.event_type == EventType.ACTIVITY_SCHEDULED
    ]
    of_type = [each.workflow_task_completed_event_id for each in asked if each.activity_type.name == name]
    return of_type[-1] if of_type else None


def activities(events: Sequence[HistoryEvent]) -> list[str]:
    """The types of the activities that were asked for, in order."""
    return list(dict.fromkeys(name for _event_id, name, is_child in _steps(events) if not is_child))


def failing_task(events: Sequence[HistoryEvent]) -> int | None:
    """The end of the last workflow task, if it failed or timed out: a reset to it repeats nothing but that task."""
    ends = [event for event in events if event.event_type in _ENDS and event.task_id]
    return ends[-1].event_id if ends and ends[-1].event_type != EventType.TASK_COMPLETED else None


def was_reset(events: Sequence[HistoryEvent]) -> bool:
    """Whether this run was made by a reset."""
    return any(
        event.event_type == EventType.TASK_FAILED
        and event.workflow_task_failed_event_attributes.cause == proto.RESET
        and event.workflow_task_failed_event_attributes.base_run_id
        for event in events
    )


def runs_again(events: Sequence[HistoryEvent], to: int) -> list[str]:
    """The activities and child workflows that may run again after a reset to the event `to`: `mail`, `pack (3 times)`.

    Those that were asked for later, and activities that had not ended by then.
    """
    ended = {
        getattr(event, _ENDED[event.event_type]).scheduled_event_id
        for event in events
        if event.event_type in _ENDED and event.event_id < to
    }
    names = Counter(
        name for event_id, name, is_child in _steps(events) if event_id > to or (not is_child and event_id not in ended)
    )
    return [
        name if number == 1 else _("{name} ({count} times)", name=name, count=number) for name, number in names.items()
    ]


def _steps(events: Sequence[HistoryEvent]) -> Iterable[tuple[int, str, bool]]:
    """(event id, type, whether it is a child workflow)."""
    for event in events:
        if event.event_type == EventType.ACTIVITY_SCHEDULED:
            yield event.event_id, event.activity_task_scheduled_event_attributes.activity_type.name, False
        elif event.event_type == EventType.CHILD_INITIATED:
            child = event.start_child_workflow_execution_initiated_event_attributes
            yield event.event_id, child.workflow_type.name, True
