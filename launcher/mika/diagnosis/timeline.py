"""The story of one workflow, as lines for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mika.diagnosis import proto
from mika.diagnosis.model import seconds
from mika.diagnosis.proto import EventType
from mika.diagnosis.steps import Step, steps

if TYPE_CHECKING:
    from temporalio.api.common.v1 import Payload
    from temporalio.api.history.v1 import HistoryEvent
    from temporalio.api.workflow.v1 import PendingActivityInfo
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

_LONGEST_PAYLOAD = 2000


@dataclass(frozen=True, slots=True)
class Entry:
    """`after`: seconds since the workflow's start."""

    after: float
    text: str


def timeline(
    description: DescribeWorkflowExecutionResponse,
    events: Sequence[HistoryEvent],
    *,
    now: float,
    payloads: bool = False,
) -> list[Entry]:
    """What happened, in order, and what is pending. Message contents only with `payloads`: they are somebody's chat."""
    info = description.workflow_execution_info
    started = proto.at(info.start_time)
    activities = steps(events)
    lines: list[tuple[float, str]] = []
    for event in events:
        lines += [(proto.at(event.event_time), text) for text in _event(event, activities, payloads=payloads)]
    for pending in description.pending_activities if info.status == proto.RUNNING else ():
        lines.append((now, _pending(pending, now)))
    if description.HasField("pending_workflow_task") and info.status == proto.RUNNING:
        task = description.pending_workflow_task
        if task.state == proto.STARTED:
            text = f"its workflow task was taken {seconds(now - proto.at(task.started_time))} ago and not answered yet"
        else:
            text = f"its workflow task has been waiting for a worker for {seconds(now - proto.at(task.scheduled_time))}"
        attempt = f" (attempt {task.attempt})" if task.attempt > 1 else ""
        lines.append((now, text + attempt))
    return [Entry(max(0.0, when - started), text) for when, text in lines]


def _event(event: HistoryEvent, activities: dict[int, Step], *, payloads: bool) -> Iterator[str]:
    # A transient attempt, which the server shows without having written it to the history: it has no task id.
    if event.task_id == 0 and event.event_id > 1:
        return
    match event.event_type:
        case EventType.EXECUTION_STARTED:
            execution = event.workflow_execution_started_event_attributes
            timeouts = {"run": execution.workflow_run_timeout, "execution": execution.workflow_execution_timeout}
            limits = [f"{name} {seconds(proto.span(value))}" for name, value in timeouts.items() if proto.span(value)]
            who = f" by {execution.identity}" if execution.identity else ""
            yield f"started{who}: {execution.workflow_type.name} in {execution.task_queue.name}" + (
                f" (time-outs: {', '.join(limits)})" if limits else ""
            )
            yield from _payloads("input", execution.input.payloads, payloads=payloads)
        case EventType.TASK_STARTED:
            yield f"taken by worker {event.workflow_task_started_event_attributes.identity or 'unknown'}"
        case EventType.TASK_TIMED_OUT:
            yield "the worker did not answer within the workflow task time-out"
        case EventType.TASK_FAILED:
            task = event.workflow_task_failed_event_attributes
            yield f"the workflow task failed: {proto.message(task.failure)}"
        case EventType.EXECUTION_COMPLETED:
            yield "completed"
            result = event.workflow_execution_completed_event_attributes.result
            yield from _payloads("result", result.payloads, payloads=payloads)
        case EventType.EXECUTION_FAILED:
            yield f"failed: {proto.message(event.workflow_execution_failed_event_attributes.failure)}"
        case EventType.EXECUTION_TIMED_OUT:
            yield "timed out"
        case EventType.EXECUTION_CANCELED:
            yield "canceled"
        case EventType.EXECUTION_TERMINATED:
            terminated = event.workflow_execution_terminated_event_attributes
            why = f": {terminated.reason}" if terminated.reason else ""
            yield f"terminated by {terminated.identity or 'somebody'}{why}"
        case _:
            yield from _activity_event(event, activities, payloads=payloads)


def _activity_event(event: HistoryEvent, activities: dict[int, Step], *, payloads: bool) -> Iterator[str]:
    match event.event_type:
        case EventType.ACTIVITY_SCHEDULED:
            scheduled = event.activity_task_scheduled_event_attributes
            yield f"activity {scheduled.activity_type.name} scheduled"
            yield from _payloads("input", scheduled.input.payloads, payloads=payloads)
        case EventType.ACTIVITY_STARTED:
            started = event.activity_task_started_event_attributes
            step = activities.get(started.scheduled_event_id)
            name = step.name if step else "?"
            attempt = f" (attempt {started.attempt})" if started.attempt > 1 else ""
            yield f"activity {name} taken by {started.identity}{attempt}"
            if started.HasField("last_failure"):
                yield f"activity {name} had failed before: {proto.message(started.last_failure)}"
        case EventType.ACTIVITY_COMPLETED:
            completed = event.activity_task_completed_event_attributes
            yield _ended(activities.get(completed.scheduled_event_id), "completed")
            yield from _payloads("result", completed.result.payloads, payloads=payloads)
        case EventType.ACTIVITY_FAILED:
            failed = event.activity_task_failed_event_attributes
            yield f"{_ended(activities.get(failed.scheduled_event_id), 'failed')}: {proto.message(failed.failure)}"
        case EventType.MARKER_RECORDED:
            if local := activities.get(event.event_id):
                attempts = f", attempt {local.attempt}" if local.attempt > 1 else ""
                why = f": {proto.message(local.failure)}" if local.failure else ""
                yield f"local activity {local.name} {local.outcome}{attempts}{why}"
        case EventType.ACTIVITY_TIMED_OUT:
            expired = event.activity_task_timed_out_event_attributes
            yield f"{_ended(activities.get(expired.scheduled_event_id), 'timed out')}: {proto.message(expired.failure)}"


def _ended(step: Step | None, outcome: str) -> str:
    if step is None:
        return f"activity {outcome}"
    attempts = f", attempt {step.attempt}" if step.attempt > 1 else ""
    return f"activity {step.name} {outcome} after {seconds(step.took)}{attempts}"


def _pending(pending: PendingActivityInfo, now: float) -> str:
    name = pending.activity_type.name
    if pending.state == proto.STARTED:
        text = f"activity {name} has been running for {seconds(now - proto.at(pending.last_started_time))}"
    else:
        due = max(proto.at(pending.scheduled_time), proto.at(pending.next_attempt_schedule_time)) - now
        text = f"activity {name} " + (
            f"is retried in {seconds(due)}" if due > 0 else f"has been waiting for a worker for {seconds(-due)}"
        )
    attempt = f" (attempt {pending.attempt})" if pending.attempt > 1 else ""
    last = f"; last failure: {proto.message(pending.last_failure)}" if pending.HasField("last_failure") else ""
    return text + attempt + last


def _payloads(what: str, contents: Sequence[Payload], *, payloads: bool) -> Iterator[str]:
    if payloads:
        for payload in contents:
            yield f"    {what}: {decode(payload)}"


def decode(payload: Payload) -> str:
    """JSON as one line, anything else by its encoding and size."""
    encoding = bytes(payload.metadata.get("encoding", b"")).decode("ascii", "replace")
    if encoding.startswith("json/"):
        try:
            text = json.dumps(json.loads(payload.data), ensure_ascii=False)
        except ValueError:
            return f"{len(payload.data)} bytes that are not valid JSON"
        return text if len(text) <= _LONGEST_PAYLOAD else f"{text[:_LONGEST_PAYLOAD]}... ({len(text)} characters)"
    return "null" if encoding == "binary/null" else f"{len(payload.data)} bytes ({encoding or 'unknown encoding'})"
