"""What a running workflow waits for without a task and an activity: its start, a child, a Nexus operation, a timer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mika.diagnosis import proto
from mika.diagnosis.commands import nexus_endpoint, temporal
from mika.diagnosis.fixes import times
from mika.diagnosis.model import Cause, Diagnosis, Surroundings, seconds
from mika.diagnosis.proto import EventType
from mika.diagnosis.skipping import happened
from mika.wording import _, listed

if TYPE_CHECKING:
    from temporalio.api.history.v1 import HistoryEvent
    from temporalio.api.workflow.v1 import PendingNexusOperationInfo
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

_MOST = 3
"""Children, and Nexus operations, that are named."""


def without_a_task(
    description: DescribeWorkflowExecutionResponse,
    events: Sequence[HistoryEvent],
    surroundings: Surroundings,
    now: float,
) -> Diagnosis:
    """For one of which neither a workflow task nor an activity is pending. `now`: the time of its clock."""
    info = description.workflow_execution_info
    begins = proto.at(info.execution_time) - now
    if begins > 0 and not any(event.event_type == EventType.TASK_SCHEDULED for event in events):
        return Diagnosis(Cause.RUNNING, _not_begun(events, begins))
    operation = max(description.pending_nexus_operations, key=lambda each: each.attempt, default=None)
    if operation is not None and (operation.state == proto.NEXUS_BLOCKED or operation.HasField("last_attempt_failure")):
        return _nexus(operation, surroundings, now)
    time = seconds(max(0.0, now - proto.at(info.start_time)))
    # The events may be a part of the history, and the end of it may be younger than the description.
    is_end = bool(events) and events[-1].event_id >= info.history_length
    what = [*_children(description), *_operations(description), *(_of_events(events, now) if is_end else ())]
    if what:
        finding = _("it has been running for {time}; pending: {what}", time=time, what=listed(what))
    elif is_end and events[0].event_type == EventType.EXECUTION_STARTED:
        finding = _(
            "it has been running for {time}; nothing is pending, no timer either"
            " (it waits for a signal or an update, or is between two steps)",
            time=time,
        )
    else:
        finding = _("it has been running for {time}; nothing is pending (a timer, or between two steps)", time=time)
    if description.workflow_extended_info.cancel_requested:
        finding = _("{finding}; it was asked to cancel, and has not ended", finding=finding)
    return Diagnosis(Cause.RUNNING, finding)


def _not_begun(events: Sequence[HistoryEvent], begins: float) -> str:
    first = events[0] if events else None
    if first is None or first.event_type != EventType.EXECUTION_STARTED:
        return _("it begins in {time}", time=seconds(begins))
    started = first.workflow_execution_started_event_attributes
    if started.cron_schedule:
        return _("it begins in {time}, by its cron schedule ({cron})", time=seconds(begins), cron=started.cron_schedule)
    if started.attempt > 1:
        return _("it begins in {time}: attempt {attempt}", time=seconds(begins), attempt=started.attempt)
    return _("it begins in {time}: its start was delayed", time=seconds(begins))


def _nexus(operation: PendingNexusOperationInfo, surroundings: Surroundings, now: float) -> Diagnosis:
    """For an operation that failed, and is tried again."""
    name, due = _operation(operation), proto.at(operation.next_attempt_schedule_time) - now
    error = proto.message(operation.last_attempt_failure) if operation.HasField("last_attempt_failure") else ""
    if operation.state == proto.NEXUS_BLOCKED:
        finding = _("{step} is held back: {why}", step=name, why=operation.blocked_reason)
    else:
        finding = _(
            "{step} failed {times} and is being retried: {error}",
            step=name,
            times=times(max(1, operation.attempt)),
            error=error,
        )
    evidence = [_("last failure: {error}", error=error)] if error and operation.state == proto.NEXUS_BLOCKED else []
    if due > 0:
        evidence.append(_("the next attempt starts in {time}", time=seconds(due)))
    fix = _(
        "fix what the error names; {command} says which task queue handles it: a worker has to poll it",
        command=temporal(nexus_endpoint(operation.endpoint), surroundings.address),
    )
    return Diagnosis(Cause.NEXUS_RETRYING, finding, tuple(evidence), fix)


def _operation(operation: PendingNexusOperationInfo) -> str:
    return _(
        "the Nexus operation {name} ({endpoint})",
        name=f"{operation.service}.{operation.operation}",
        endpoint=operation.endpoint,
    )


def _operations(description: DescribeWorkflowExecutionResponse) -> Iterator[str]:
    yield from map(_operation, description.pending_nexus_operations[:_MOST])
    if (more := len(description.pending_nexus_operations) - _MOST) > 0:
        yield _("{count} more Nexus operations", count=more)


def _children(description: DescribeWorkflowExecutionResponse) -> Iterator[str]:
    for child in description.pending_children[:_MOST]:
        yield _("the child workflow {id} ({type})", id=child.workflow_id, type=child.workflow_type_name)
    if (more := len(description.pending_children) - _MOST) > 0:
        yield _("{count} more child workflows", count=more)


def _of_events(events: Sequence[HistoryEvent], now: float) -> Iterator[str]:
    """Timers and updates: only the history shows them."""
    timers = happened(events, after=0).pending
    if timers:
        time = seconds(max(0.0, timers[0].due - now))
        if len(timers) == 1:
            yield _("a timer (due in {time})", time=time)
        else:
            yield _("{count} timers (the next one is due in {time})", count=len(timers), time=time)
    accepted: dict[int, HistoryEvent] = {}
    for event in events:
        if event.event_type == EventType.UPDATE_ACCEPTED:
            accepted[event.event_id] = event
        elif event.event_type == EventType.UPDATE_COMPLETED:
            accepted.pop(event.workflow_execution_update_completed_event_attributes.accepted_event_id, None)
    for event in accepted.values():
        request = event.workflow_execution_update_accepted_event_attributes.accepted_request
        time = seconds(max(0.0, now - proto.at(event.event_time)))
        yield _("the update {name} (accepted {time} ago)", name=request.input.name, time=time)
