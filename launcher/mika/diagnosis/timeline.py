"""The story of one workflow, as lines for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mika.diagnosis import proto
from mika.diagnosis.model import seconds
from mika.diagnosis.proto import EventType
from mika.diagnosis.steps import Step, steps
from mika.frozen import frozen
from mika.wording import _, listed

if TYPE_CHECKING:
    from temporalio.api.common.v1 import Payload
    from temporalio.api.failure.v1 import Failure
    from temporalio.api.history.v1 import HistoryEvent, WorkflowExecutionStartedEventAttributes
    from temporalio.api.workflow.v1 import PendingActivityInfo, PendingWorkflowTaskInfo
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

_LONGEST_PAYLOAD = 2000


@frozen
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
        lines.append((now, _pending_task(description.pending_workflow_task, now)))
    return [Entry(max(0.0, when - started), text) for when, text in lines]


def _event(event: HistoryEvent, activities: dict[int, Step], *, payloads: bool) -> Iterator[str]:
    # A transient attempt, which the server shows without having written it to the history: it has no task id.
    if event.task_id == 0 and event.event_id > 1:
        return
    match event.event_type:
        case EventType.EXECUTION_STARTED:
            execution = event.workflow_execution_started_event_attributes
            yield _started(execution)
            yield from _payloads(_("input"), execution.input.payloads, payloads=payloads)
        case EventType.TASK_STARTED:
            worker = event.workflow_task_started_event_attributes.identity
            yield _("taken by worker {worker}", worker=worker) if worker else _("taken by worker unknown")
        case EventType.TASK_TIMED_OUT:
            yield _("the worker did not answer within the workflow task timeout")
        case EventType.TASK_FAILED:
            task = event.workflow_task_failed_event_attributes
            yield _("the workflow task failed: {error}", error=proto.message(task.failure))
        case EventType.EXECUTION_COMPLETED:
            yield _("completed")
            result = event.workflow_execution_completed_event_attributes.result
            yield from _payloads(_("result"), result.payloads, payloads=payloads)
        case EventType.EXECUTION_FAILED:
            failed = event.workflow_execution_failed_event_attributes
            yield _("failed: {error}", error=proto.message(failed.failure))
        case EventType.EXECUTION_TIMED_OUT:
            yield _("timed out")
        case EventType.EXECUTION_CANCELED:
            yield _("canceled")
        case EventType.EXECUTION_TERMINATED:
            terminated = event.workflow_execution_terminated_event_attributes
            who = terminated.identity or _("somebody")
            yield (
                _("terminated by {who}: {why}", who=who, why=terminated.reason)
                if terminated.reason
                else _("terminated by {who}", who=who)
            )
        case _:
            yield from _activity_event(event, activities, payloads=payloads)


def _activity_event(event: HistoryEvent, activities: dict[int, Step], *, payloads: bool) -> Iterator[str]:
    match event.event_type:
        case EventType.ACTIVITY_SCHEDULED:
            scheduled = event.activity_task_scheduled_event_attributes
            yield _("activity {name} scheduled", name=scheduled.activity_type.name)
            yield from _payloads(_("input"), scheduled.input.payloads, payloads=payloads)
        case EventType.ACTIVITY_STARTED:
            started = event.activity_task_started_event_attributes
            step = activities.get(started.scheduled_event_id)
            name = step.name if step else "?"
            taken = _("activity {name} taken by {worker}", name=name, worker=started.identity)
            yield taken + _attempt(started.attempt)
            if started.HasField("last_failure"):
                yield _(
                    "activity {name} had failed before: {error}", name=name, error=proto.message(started.last_failure)
                )
        case EventType.ACTIVITY_COMPLETED:
            completed = event.activity_task_completed_event_attributes
            yield _ended(activities.get(completed.scheduled_event_id), _("completed"))
            yield from _payloads(_("result"), completed.result.payloads, payloads=payloads)
        case EventType.ACTIVITY_FAILED:
            failed = event.activity_task_failed_event_attributes
            yield _with_error(_ended(activities.get(failed.scheduled_event_id), _("failed")), failed.failure)
        case EventType.MARKER_RECORDED:
            if local := activities.get(event.event_id):
                text = _("local activity {name} {outcome}", name=local.name, outcome=local.outcome)
                text += _and_attempt(local.attempt)
                yield _with_error(text, local.failure) if local.failure else text
        case EventType.ACTIVITY_TIMED_OUT:
            expired = event.activity_task_timed_out_event_attributes
            yield _with_error(_ended(activities.get(expired.scheduled_event_id), _("timed out")), expired.failure)


def _ended(step: Step | None, outcome: str) -> str:
    if step is None:
        return _("activity {outcome}", outcome=outcome)
    text = _("activity {name} {outcome} after {time}", name=step.name, outcome=outcome, time=seconds(step.took))
    return text + _and_attempt(step.attempt)


def _with_error(text: str, failure: Failure) -> str:
    return _("{text}: {error}", text=text, error=proto.message(failure))


def _attempt(number: int) -> str:
    return _(" (attempt {attempt})", attempt=number) if number > 1 else ""


def _and_attempt(number: int) -> str:
    return _(", attempt {attempt}", attempt=number) if number > 1 else ""


def _started(execution: WorkflowExecutionStartedEventAttributes) -> str:
    kind, queue, who = execution.workflow_type.name, execution.task_queue.name, execution.identity
    text = _("started: {workflow} in {queue}", workflow=kind, queue=queue)
    if who:
        text = _("started by {who}: {workflow} in {queue}", who=who, workflow=kind, queue=queue)
    run, whole = proto.span(execution.workflow_run_timeout), proto.span(execution.workflow_execution_timeout)
    limits = [
        *([_("run {time}", time=seconds(run))] if run else []),
        *([_("execution {time}", time=seconds(whole))] if whole else []),
    ]
    return text + _(" (timeouts: {limits})", limits=listed(limits)) if limits else text


def _pending_task(task: PendingWorkflowTaskInfo, now: float) -> str:
    if task.state == proto.STARTED:
        time = seconds(now - proto.at(task.started_time))
        text = _("its workflow task was taken {time} ago and not answered yet", time=time)
    else:
        time = seconds(now - proto.at(task.scheduled_time))
        text = _("its workflow task has been waiting for a worker for {time}", time=time)
    return text + _attempt(task.attempt)


def _pending(pending: PendingActivityInfo, now: float) -> str:
    name = pending.activity_type.name
    due = max(proto.at(pending.scheduled_time), proto.at(pending.next_attempt_schedule_time)) - now
    if proto.is_taken(pending.state):
        time = seconds(now - proto.at(pending.last_started_time))
        text = _("activity {name} has been running for {time}", name=name, time=time)
        if pending.state == proto.CANCEL_REQUESTED:
            text += _(", asked to cancel")
        elif pending.state == proto.PAUSE_REQUESTED:
            text += _(", asked to pause")
    elif pending.state == proto.PAUSED:
        text = _("activity {name} is paused", name=name)
    elif due > 0:
        text = _("activity {name} is retried in {time}", name=name, time=seconds(due))
    else:
        text = _("activity {name} has been waiting for a worker for {time}", name=name, time=seconds(-due))
    text += _attempt(pending.attempt)
    if pending.HasField("last_failure"):
        text += _("; last failure: {error}", error=proto.message(pending.last_failure))
    return text


def _payloads(what: str, contents: Sequence[Payload], *, payloads: bool) -> Iterator[str]:
    if payloads:
        for payload in contents:
            yield _("    {what}: {value}", what=what, value=decode(payload))


def decode(payload: Payload) -> str:
    """JSON as one line, anything else by its encoding and size."""
    encoding = bytes(payload.metadata.get("encoding", b"")).decode("ascii", "replace")
    if encoding.startswith("json/"):
        try:
            text = json.dumps(json.loads(payload.data), ensure_ascii=False)
        except ValueError:
            return _("{count} bytes that are not valid JSON", count=len(payload.data))
        if len(text) <= _LONGEST_PAYLOAD:
            return text
        return _("{text}... ({count} characters)", text=text[:_LONGEST_PAYLOAD], count=len(text))
    if encoding == "binary/null":
        return "null"
    return _("{count} bytes ({encoding})", count=len(payload.data), encoding=encoding or _("unknown encoding"))
