"""Workflows that run without a task and an activity: what the server tells, and the cause."""

from __future__ import annotations

from mika.diagnosis.model import Surroundings
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

from tests.kit.temporal_protos import DONE, STARTED, TAKEN, TASK, around, at, described, events, failure, worker

Case = tuple[str, str, DescribeWorkflowExecutionResponse, list[HistoryEvent], Surroundings, float, str]


def _begins(after: float) -> DescribeWorkflowExecutionResponse:
    found = described("running")
    at(found.workflow_execution_info.execution_time, after)
    return found


def _started(**attributes: object) -> list[HistoryEvent]:
    return events((*STARTED[:2], {**STARTED[2], **attributes}))


def _parent(*children: str) -> DescribeWorkflowExecutionResponse:
    found = described("running")
    for child in children:
        found.pending_children.add(workflow_id=child, workflow_type_name="Ship")
    return found


def _calling(state: int, *, attempt: int = 0, error: str = "") -> DescribeWorkflowExecutionResponse:
    """A workflow that waits for a Nexus operation; `state` is its PendingNexusOperationState."""
    found = described("running")
    operation = found.pending_nexus_operations.add(endpoint="ep", service="bank", operation="pay", attempt=attempt)
    operation.state, operation.blocked_reason = state, "The circuit breaker is open." if state == 4 else ""  # type: ignore[assignment]
    if error:
        operation.last_attempt_failure.CopyFrom(failure(error, ""))
        at(operation.next_attempt_schedule_time, 12)
    return found


def _canceled() -> DescribeWorkflowExecutionResponse:
    found = described("running")
    found.workflow_extended_info.cancel_requested = True
    return found


_FIRST_TASK = (STARTED, TASK, TAKEN, DONE)
_TIMER = ("TIMER_STARTED", 0.2, {"timer_id": "1", "start_to_fire_timeout.seconds": 60})
_LATER_TIMER = ("TIMER_STARTED", 0.2, {"timer_id": "2", "start_to_fire_timeout.seconds": 90})
_ACCEPTED = ("WORKFLOW_EXECUTION_UPDATE_ACCEPTED", 3, {"accepted_request.input.name": "approve"})
_UPDATED = ("WORKFLOW_EXECUTION_UPDATE_COMPLETED", 4, {"accepted_event_id": 5})


def _runs(name: str, found: DescribeWorkflowExecutionResponse, history: list[HistoryEvent], words: str) -> Case:
    return (name, "running", found, history, around(worker()), 9, words)


_LONG = described("running")
_LONG.workflow_execution_info.history_length = 99

WITHOUT_A_TASK: list[Case] = [
    # name, expected cause, description, history, surroundings, now, a word of finding + fix
    _runs("a signal", described("running"), events(*_FIRST_TASK), "nothing is pending, no timer either (it waits for"),
    _runs("no history", described("running"), [], "nothing is pending (a timer, or between two steps)"),
    _runs("a part of the history", _LONG, events(*_FIRST_TASK, _TIMER), "nothing is pending (a timer, or between"),
    _runs("a timer", described("running"), events(*_FIRST_TASK, _TIMER), "for 9.0 s; pending: a timer (due in 51 s)"),
    _runs(
        "two timers",
        described("running"),
        events(*_FIRST_TASK, _LATER_TIMER, _TIMER),
        "pending: 2 timers (the next one is due in 51 s)",
    ),
    _runs(
        "an update", described("running"), events(*_FIRST_TASK, _ACCEPTED), "the update approve (accepted 6.0 s ago)"
    ),
    _runs("an answered update", described("running"), events(*_FIRST_TASK, _ACCEPTED, _UPDATED), "nothing is pending"),
    _runs("a cancel that the code ignores", _canceled(), [], "; it was asked to cancel, and has not ended"),
    _runs("a start delay", _begins(69), _started(), "it begins in 60 s: its start was delayed"),
    _runs("a start delay, history unknown", _begins(69), [], "it begins in 60 s"),
    _runs("a cron schedule", _begins(69), _started(cron_schedule="@hourly"), "by its cron schedule (@hourly)"),
    _runs("another attempt", _begins(69), _started(attempt=2), "it begins in 60 s: attempt 2"),
    _runs("a start that was delayed", _begins(3), events(*_FIRST_TASK), "has been running for 9.0 s"),
    _runs("a child", _parent("ship-1"), events(*_FIRST_TASK), "pending: the child workflow ship-1 (Ship)"),
    _runs("many children", _parent(*"abcde"), [], "the child workflow c (Ship), 2 more child workflows"),
    _runs("a Nexus operation", _calling(3), [], "pending: the Nexus operation bank.pay (ep)"),
    (
        "a Nexus operation that fails",
        "nexus_retrying",
        _calling(2, attempt=8, error="upstream timeout"),
        [],
        around(worker()),
        9,
        "and is being retried: upstream timeout; fix what the error names; `temporal operator nexus endpoint get",
    ),
    (
        "a Nexus operation that the server holds back",
        "nexus_retrying",
        _calling(4, attempt=8, error="upstream timeout"),
        [],
        around(worker()),
        9,
        "bank.pay (ep) is held back: The circuit breaker is open.",
    ),
]
