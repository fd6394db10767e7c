"""The few numbers and accessors of Temporal's API that are needed here, so that reading a message imports no SDK.

The numbers are those of https://github.com/temporalio/api, temporal/api/enums/v1: they belong to the wire format and
never change.
"""

from __future__ import annotations

import json
from enum import IntEnum
from typing import TYPE_CHECKING

from mika.wording import _

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.timestamp_pb2 import Timestamp
    from temporalio.api.common.v1 import Payload
    from temporalio.api.failure.v1 import Failure

# WorkflowExecutionStatus
RUNNING, COMPLETED, FAILED, CANCELED, TERMINATED, CONTINUED_AS_NEW, TIMED_OUT = 1, 2, 3, 4, 5, 6, 7
STATUS = {
    RUNNING: _("running"),
    COMPLETED: _("completed"),
    FAILED: _("failed"),
    CANCELED: _("canceled"),
    TERMINATED: _("terminated"),
    CONTINUED_AS_NEW: _("continued_as_new"),
    TIMED_OUT: _("timed_out"),
}
# PendingWorkflowTaskState and PendingActivityState: the same meaning. The others are of an activity only.
SCHEDULED, STARTED, CANCEL_REQUESTED, PAUSED, PAUSE_REQUESTED = 1, 2, 3, 4, 5
# PendingNexusOperationState
NEXUS_BLOCKED = 4
# WorkerVersioningMode, VersioningBehavior
VERSIONED, PINNED = 2, 1
# TaskQueueKind: of the worker that has the workflow in its cache
STICKY = 2
# TimeoutType
_GO_WRAPS = "wrapError"  # the type of what fmt.Errorf makes with %w: its text has that of its cause in it
TIMEOUTS = {1: "start-to-close", 2: "schedule-to-start", 3: "schedule-to-close", 4: "heartbeat"}
START_TO_CLOSE, SCHEDULE_TO_START, SCHEDULE_TO_CLOSE, HEARTBEAT = 1, 2, 3, 4


class TaskType(IntEnum):
    """TaskQueueType: two separate queues under one name."""

    WORKFLOW = 1
    ACTIVITY = 2


class EventType:
    """Those of a history that are read here."""

    EXECUTION_STARTED = 1
    EXECUTION_COMPLETED = 2
    EXECUTION_FAILED = 3
    EXECUTION_TIMED_OUT = 4
    TASK_SCHEDULED = 5
    TASK_STARTED = 6
    TASK_COMPLETED = 7
    TASK_TIMED_OUT = 8
    TASK_FAILED = 9
    ACTIVITY_SCHEDULED = 10
    ACTIVITY_STARTED = 11
    ACTIVITY_COMPLETED = 12
    ACTIVITY_FAILED = 13
    ACTIVITY_TIMED_OUT = 14
    ACTIVITY_CANCELED = 16
    TIMER_STARTED = 17
    TIMER_FIRED = 18
    TIMER_CANCELED = 19
    EXECUTION_CANCELED = 21
    MARKER_RECORDED = 25
    EXECUTION_TERMINATED = 27
    CHILD_INITIATED = 29
    UPDATE_ACCEPTED = 41
    UPDATE_COMPLETED = 43


# WorkflowTaskFailedCause: a new event came in meanwhile, the server moved, somebody reset it. Not the code's fault.
HARMLESS_TASK_FAILURES = frozenset({1, 13, 17, 18, 20})
RESET_STICKY, RESET, NON_DETERMINISTIC = 13, 20, 24


def is_taken(state: int) -> bool:
    """Whether a worker has the activity with this PendingActivityState: it may have been asked to end, too."""
    return state in (STARTED, CANCEL_REQUESTED, PAUSE_REQUESTED)


def at(timestamp: Timestamp) -> float:
    """Seconds since the epoch; 0 for one that is not set."""
    return float(timestamp.seconds + timestamp.nanos / 1e9)


def span(duration: Duration) -> float:
    """Seconds; 0 for one that is not set."""
    return float(duration.seconds + duration.nanos / 1e9)


def chain(failure: Failure) -> list[Failure]:
    """The failure, its cause, the cause of that, and so on."""
    failures = [failure]
    while failures[-1].HasField("cause"):
        failures.append(failures[-1].cause)
    return failures


def innermost(failure: Failure) -> Failure:
    """Where the chain of causes begins."""
    return chain(failure)[-1]


def message(failure: Failure) -> str:
    """One line: the type of the innermost failure and what it says, with what Go has wrapped around that."""
    *outer, root = chain(failure)
    said = root.message
    for each in reversed(outer):
        if each.application_failure_info.type.startswith(_GO_WRAPS) and said in each.message:
            said = each.message
    text = " ".join(said.split())[:300]
    if root.HasField("timeout_failure_info"):
        which = TIMEOUTS.get(root.timeout_failure_info.timeout_type, "")
        expired = _("{which} timeout", which=which) if which else _("a timeout")
        return _("{time_out}: {text}", time_out=expired, text=text) if text else expired
    kind = root.application_failure_info.type if root.HasField("application_failure_info") else ""
    return f"{kind}: {text}" if kind and text and not text.startswith(kind) else text or kind or _("no message")


def timeout_type(failure: Failure) -> int:
    """The TimeoutType when the chain of causes begins with a timeout, else 0."""
    root = innermost(failure)
    return int(root.timeout_failure_info.timeout_type) if root.HasField("timeout_failure_info") else 0


def readable(payload: Payload) -> tuple[bool, object]:
    """Whether a payload is JSON or nothing, and its value. What a codec has made of it is neither."""
    encoding = payload.metadata.get("encoding", b"")
    if encoding == b"binary/null":
        return True, None
    if not encoding.startswith(b"json/"):
        return False, None
    try:
        return True, json.loads(payload.data)
    except ValueError:
        return False, None
