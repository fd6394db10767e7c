"""The activities of a workflow, as its history shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mika.diagnosis import proto
from mika.diagnosis.proto import EventType
from mika.wording import _

if TYPE_CHECKING:
    from temporalio.api.failure.v1 import Failure
    from temporalio.api.history.v1 import HistoryEvent, MarkerRecordedEventAttributes
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse


@dataclass(slots=True)
class Step:
    """One activity as the history shows it; times in seconds since the epoch, 0 for what did not happen."""

    name: str
    scheduled: float
    budget: float
    """Start-to-close, which bounds one attempt."""
    started: float = 0.0
    ended: float = 0.0
    attempt: int = 1
    worker: str = ""
    failure: Failure | None = None
    before: Failure | None = None
    """How the attempt before the last one failed."""
    beat: float = 0.0
    """Heartbeat timeout; 0 without one."""
    queue: str = ""
    """Its task queue; empty for a local one."""
    outcome: str = ""
    """In words, to be shown: `timed out`."""

    @property
    def took(self) -> float:
        return self.ended - self.scheduled if self.ended else 0.0


def steps(events: Sequence[HistoryEvent]) -> dict[int, Step]:
    """The activities by the id of the event that scheduled them, in order."""
    by_id: dict[int, Step] = {}
    worker = ""
    for event in events:
        when = proto.at(event.event_time)
        match event.event_type:
            case EventType.ACTIVITY_SCHEDULED:
                scheduled = event.activity_task_scheduled_event_attributes
                budget = proto.span(scheduled.start_to_close_timeout)
                beat = proto.span(scheduled.heartbeat_timeout)
                by_id[event.event_id] = Step(
                    scheduled.activity_type.name, when, budget, beat=beat, queue=scheduled.task_queue.name
                )
            case EventType.ACTIVITY_STARTED:
                started = event.activity_task_started_event_attributes
                if step := by_id.get(started.scheduled_event_id):
                    step.started, step.attempt, step.worker = when, started.attempt, started.identity
                    step.failure = step.before = started.last_failure if started.HasField("last_failure") else None
            case EventType.ACTIVITY_COMPLETED:
                completed = event.activity_task_completed_event_attributes
                _end(by_id.get(completed.scheduled_event_id), when, _("completed"))
            case EventType.ACTIVITY_FAILED:
                failing = event.activity_task_failed_event_attributes
                _end(by_id.get(failing.scheduled_event_id), when, _("failed"), failing.failure)
            case EventType.ACTIVITY_TIMED_OUT:
                expired = event.activity_task_timed_out_event_attributes
                _end(by_id.get(expired.scheduled_event_id), when, _("timed out"), expired.failure)
            case EventType.ACTIVITY_CANCELED:
                canceled = event.activity_task_canceled_event_attributes
                _end(by_id.get(canceled.scheduled_event_id), when, _("canceled"))
            case EventType.TASK_COMPLETED:
                worker = event.workflow_task_completed_event_attributes.identity
            case EventType.MARKER_RECORDED:
                if local := _local_step(event.marker_recorded_event_attributes, when, worker):
                    earlier = next((step for step in reversed(by_id.values()) if step.name == local.name), None)
                    if earlier is not None and local.attempt > 1:
                        local.before = earlier.failure
                    by_id[event.event_id] = local
    return by_id


def _local_step(marker: MarkerRecordedEventAttributes, when: float, worker: str) -> Step | None:
    """An attempt of a local activity that is over, as the SDKs on the common core write it (Python, .NET, …)."""
    if marker.marker_name != "core_local_activity":
        return None
    data = next(iter(marker.details["data"].payloads), None) if "data" in marker.details else None
    told = proto.readable(data)[1] if data is not None else None
    known = told if isinstance(told, dict) else {}
    began, ended = _stamp(known.get("original_schedule_time")), _stamp(known.get("complete_time"))
    scheduled = when - max(0.0, ended - began) if began and ended else when
    step = Step(
        str(known.get("activity_type", "?")), scheduled, 0.0, when, when, int(known.get("attempt") or 1), worker
    )
    step.outcome = _("completed")
    if marker.HasField("failure"):
        step.failure, step.outcome = marker.failure, _("failed")
    return step


def _stamp(told: object) -> float:
    """A time in what a marker tells, by the worker's clock, in seconds since the epoch; 0 if there is none."""
    if not isinstance(told, dict):
        return 0.0
    seconds, nanos = told.get("seconds"), told.get("nanos")
    return seconds + (nanos / 1e9 if isinstance(nanos, int) else 0.0) if isinstance(seconds, int) else 0.0


def step_of(failure: Failure, events: Sequence[HistoryEvent]) -> Step:
    """The activity that failed. A local one has no event but the last, its marker."""
    activity, known = failure.activity_failure_info, steps(events)
    name = activity.activity_type.name
    local = next((step for step in reversed(known.values()) if step.name == name), None)
    return known.get(activity.scheduled_event_id) or local or Step(name, 0.0, 0.0)


def _end(step: Step | None, when: float, outcome: str, failure: Failure | None = None) -> None:
    """Without a `failure`, that of the attempt before stays."""
    if step is None:
        return
    step.ended, step.outcome = when, outcome
    if failure is not None:
        step.failure = failure


def attempts(description: DescribeWorkflowExecutionResponse, events: Sequence[HistoryEvent]) -> int | None:
    """Of its activities: the most of those that are pending; once it has ended, those of the last one that failed.

    None where there is no such activity.
    """
    if description.workflow_execution_info.status == proto.RUNNING:
        waiting = retried_step(events)
        local = [waiting.attempt] if waiting is not None else []
        return max((*local, *(activity.attempt for activity in description.pending_activities)), default=None)
    failed = (step.attempt for step in reversed(steps(events).values()) if step.outcome in ("failed", "timed out"))
    return next(failed, None)


def retried_step(events: Sequence[HistoryEvent]) -> Step | None:
    """The local activity that failed last, while the workflow waits for its next attempt."""
    last = next(reversed(steps(events).items()), None)
    if last is None or last[1].outcome != "failed" or events[-1].event_type != EventType.TIMER_STARTED:
        return None
    return last[1] if any(event.event_id == last[0] and _is_local(event) for event in events) else None


def _is_local(event: HistoryEvent) -> bool:
    return event.event_type == EventType.MARKER_RECORDED
