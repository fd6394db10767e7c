"""Is a worker hung that says nothing of its own event loop (no beat)?

The server can tell: it gave the worker a workflow task, and has had no answer. But a task may be slow for good reasons
(imports in the sandbox, a burst, a slow machine), and a worker that is killed for one loses all that it is working on.
So it counts as hung only when the server itself has given up waiting, and the worker has answered nothing else since.
Even then it is not killed again for an activity that was begun again: one that blocks the event loop (`time.sleep` in
an `async def`) ends by itself, or at its timeout. Nor for one that is tried only once.
Pollers and heartbeats come from the SDK's Rust threads and stay fresh all the while, so they cannot tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mika.diagnosis import proto
from mika.diagnosis.proto import EventType
from mika.diagnosis.survey import taken_activities
from mika.diagnosis.temporal import Temporal, literal
from mika.readiness.ladder import AtWork, NotYet
from mika.reason import Reason
from mika.wording import _, listed

if TYPE_CHECKING:
    from temporalio.api.history.v1 import HistoryEvent
    from temporalio.api.workflow.v1 import PendingActivityInfo, WorkflowExecutionInfo

_MOST_RUNNING, _MOST_CLOSED, _NEWEST, _MOST_NAMED = 50, 5, 6, 3


class StuckTask(NotYet):
    """The server has waited for this worker's answer for as long as the workflow allows."""


IsOwn = Callable[[str], bool]
"""Whether an identity is that of the worker in question."""


async def check_no_stuck_task(temporal: Temporal, task_queue: str, is_own: IsOwn) -> None:
    """Raise StuckTask if this worker let a workflow task time out, and has answered no task since it took that one.

    Raises AtWork instead while it runs an activity that a kill would end for good, or has already made begin again.
    """
    of_queue = f"TaskQueue = {literal(task_queue)}"
    running = await temporal.workflows(f"{of_queue} AND ExecutionStatus = 'Running'", _MOST_RUNNING)
    timed_out = await asyncio.gather(*(_has_timed_out(temporal, info) for info in running))
    suspects = [info for info, has_timed_out in zip(running, timed_out, strict=True) if has_timed_out]
    if not suspects:
        return
    histories = await _histories(temporal, suspects)
    tasks = [_lost_task(events, is_own) for events in histories]
    lost = [(proto.at(task.event_time), info) for task, info in zip(tasks, suspects, strict=True) if task is not None]
    if not lost:
        return
    taken_at, first = min(lost, key=lambda entry: entry[0])
    since = datetime.fromtimestamp(taken_at, UTC).isoformat().replace("+00:00", "Z")
    closed = await temporal.workflows(f"{of_queue} AND CloseTime > {literal(since)}", _MOST_CLOSED)
    others = [info for info in (*running, *closed) if info not in suspects]
    histories += await _histories(temporal, others)
    if any(_is_answer(event, is_own) and proto.at(event.event_time) > taken_at for h in histories for event in h):
        return
    workflow = first.execution.workflow_id
    taken = await taken_activities(temporal, lambda activity: _is_spared(activity, taken_at))
    if activities := sorted(set().union(*(names for identity, names in taken.items() if is_own(identity)))):
        text = _(
            "it answers no workflow task ({workflow}) while it runs {activities}",
            workflow=workflow,
            activities=listed(activities[:_MOST_NAMED]),
        )
        raise AtWork(
            Reason(text, _("an `async` activity must not block: `await asyncio.to_thread(…)` for what blocks"))
        )
    raise StuckTask(_("it took a workflow task and did not answer it in time ({workflow})", workflow=workflow))


def _is_spared(activity: PendingActivityInfo, taken_at: float) -> bool:
    """A hung worker takes the next attempt at an activity, too: only what began before the lost task may block it."""
    is_second = activity.attempt > 1 and proto.at(activity.last_started_time) < taken_at
    return is_second or activity.maximum_attempts == 1


async def _has_timed_out(temporal: Temporal, info: WorkflowExecutionInfo) -> bool:
    """Whether a workflow waits for an attempt after the first one at a workflow task."""
    description = await temporal.describe(info.execution.workflow_id, info.execution.run_id)
    return description.HasField("pending_workflow_task") and description.pending_workflow_task.attempt > 1


async def _histories(temporal: Temporal, infos: Sequence[WorkflowExecutionInfo]) -> list[list[HistoryEvent]]:
    return list(await asyncio.gather(*(temporal.newest_events(info.execution, _NEWEST) for info in infos)))


def _lost_task(events: Sequence[HistoryEvent], is_own: IsOwn) -> HistoryEvent | None:
    """The start of the task that this worker took, if the last thing in the history is that it timed out."""
    if len(events) < 2 or events[-1].event_type != EventType.TASK_TIMED_OUT:
        return None
    timed_out, started = events[-1].workflow_task_timed_out_event_attributes, events[-2]
    if timed_out.timeout_type != proto.START_TO_CLOSE or started.event_type != EventType.TASK_STARTED:
        return None
    return started if is_own(started.workflow_task_started_event_attributes.identity) else None


def _is_answer(event: HistoryEvent, is_own: IsOwn) -> bool:
    match event.event_type:
        case EventType.TASK_COMPLETED:
            return is_own(event.workflow_task_completed_event_attributes.identity)
        case EventType.TASK_FAILED:
            return is_own(event.workflow_task_failed_event_attributes.identity)
        case EventType.ACTIVITY_COMPLETED:
            return is_own(event.activity_task_completed_event_attributes.identity)
        case EventType.ACTIVITY_FAILED:
            return is_own(event.activity_task_failed_event_attributes.identity)
    return False
