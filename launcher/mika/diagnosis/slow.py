"""A workflow task takes seconds, and its worker is at work: slow, and not hung."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mika.diagnosis import proto
from mika.diagnosis.local import ended_in
from mika.diagnosis.model import Cause, Diagnosis, seconds
from mika.diagnosis.proto import EventType
from mika.diagnosis.running import taker, waiting_for
from mika.frozen import frozen
from mika.wording import _

if TYPE_CHECKING:
    from temporalio.api.history.v1 import HistoryEvent
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

SLOW = 5.0
"""Seconds in an answered workflow task that are worth a word: it needs milliseconds, but in a burst it waits inside its
worker."""


@frozen
class SlowTask:
    """A workflow task and the seconds that its worker had, or has had, it. `is_first`: the first one of its run."""

    took: float
    is_first: bool
    worker: str

    @property
    def text(self) -> str:
        took = seconds(self.took)
        if self.is_first:
            return _("{took} in its first workflow task", took=took)
        return _("{took} in one workflow task", took=took)


def taken_task(
    description: DescribeWorkflowExecutionResponse, events: Sequence[HistoryEvent], now: float
) -> SlowTask | None:
    """The task that a worker has now; None if none has one."""
    waiting, identity = waiting_for(description), taker(events)
    if waiting is None or waiting.activity is not None or not waiting.taken or not identity:
        return None
    is_first = not any(event.event_type == EventType.TASK_COMPLETED for event in events)
    return SlowTask(now - waiting.since, is_first, identity)


def slowest_task(events: Sequence[HistoryEvent]) -> SlowTask | None:
    """Of those that were answered, the one that took longest; None if all took less than SLOW.

    Without those in which a local activity ran: they last as long as it does.
    """
    slow, taken, is_first = [], 0.0, any(event.event_type == EventType.EXECUTION_STARTED for event in events)
    for index, event in enumerate(events):
        when = proto.at(event.event_time)
        if event.event_type == EventType.TASK_STARTED:
            taken = when
        elif event.event_type == EventType.TASK_COMPLETED and ended_in(events, index):
            taken, is_first = 0.0, False
        elif event.event_type == EventType.TASK_COMPLETED and taken:
            identity = event.workflow_task_completed_event_attributes.identity
            slow.append(SlowTask(when - taken, is_first, identity))
            taken, is_first = 0.0, False
    slowest = max(slow, key=lambda task: task.took, default=None)
    return slowest if slowest is not None and slowest.took >= SLOW else None


def still_slow(task: SlowTask, why: str, fix: str) -> Diagnosis:
    """For a task that a worker has now and is at work on. `why` and `fix` are what is known of the reason."""
    return Diagnosis(
        Cause.SLOW,
        _("slow: {task} so far{why}", task=task.text, why=why),
        (_("worker {worker} has it, and uses the CPU", worker=task.worker),),
        fix,
    )
