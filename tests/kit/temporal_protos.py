"""The protobufs in which a server tells of a workflow (their shapes are recorded from server 1.32.0)."""

from __future__ import annotations

from typing import Any

from mika.diagnosis.model import Poller, Surroundings, WorkerCommands
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

START = 1_795_546_842.5  # by the server's clock
QUEUE = "mika-bot-task-queue"
STATUS = {"running": 1, "completed": 2, "failed": 3, "canceled": 4, "terminated": 5, "timed_out": 7}


def at(stamp: Any, seconds_after_start: float) -> None:
    stamp.FromNanoseconds(round((START + seconds_after_start) * 1e9))


def described(status: str, *, closed: float = 0.0, queue: str = QUEUE) -> DescribeWorkflowExecutionResponse:
    found = DescribeWorkflowExecutionResponse()
    info = found.workflow_execution_info
    info.execution.workflow_id = "process_message_1"
    info.status = STATUS[status]  # type: ignore[assignment]
    info.task_queue = queue
    found.execution_config.default_workflow_task_timeout.seconds = 30
    at(info.start_time, 0)
    if closed:
        at(info.close_time, closed)
    return found


def task(state: int, *, since: float = 0.0, attempt: int = 1, queue: str = QUEUE) -> DescribeWorkflowExecutionResponse:
    found = described("running", queue=queue)
    pending = found.pending_workflow_task
    pending.state, pending.attempt = state, attempt  # type: ignore[assignment]
    at(pending.scheduled_time, since)
    if state == 2:
        at(pending.started_time, since)
    return found


def activity(
    state: int,
    *,
    since: float = 0.0,
    attempt: int = 1,
    failure: Failure | None = None,
    due: float | None = None,
    status: str = "running",
    closed: float = 0.0,
    worker: str = "12@vm",
    beat: int = 0,
) -> DescribeWorkflowExecutionResponse:
    found = described(status, closed=closed)
    pending = found.pending_activities.add(activity_id="1", state=state, attempt=attempt, last_worker_identity=worker)
    pending.activity_type.name = "ask_llm"
    pending.maximum_attempts = 6
    pending.activity_options.start_to_close_timeout.seconds = 28
    pending.activity_options.heartbeat_timeout.seconds = beat
    at(pending.scheduled_time, since)
    if state in (2, 3, 5):
        at(pending.last_started_time, since)
    if failure is not None:
        pending.last_failure.CopyFrom(failure)
    if due is not None:
        at(pending.next_attempt_schedule_time, due)
        pending.current_retry_interval.seconds = 3
    return found


def paused(state: int, *, worker: str = "12@vm", failure: Failure | None = None) -> DescribeWorkflowExecutionResponse:
    """An activity that `temporal activity pause` was called for; `state` 5: while a worker had it."""
    found = activity(state, attempt=2, worker=worker, failure=failure)
    pending = found.pending_activities[0]
    pending.paused, pending.pause_info.manual.identity = True, "me@vm"
    pending.pause_info.manual.reason = "look first"
    return found


def failure(text: str, kind: str = "LlmError", *, timeout: int = 0) -> Failure:
    found = Failure(message=text)
    if timeout:
        found.timeout_failure_info.timeout_type = timeout  # type: ignore[assignment]
    else:
        found.application_failure_info.type = kind
    return found


def wrapped(text: str, cause: Failure, kind: str = "wrapError") -> Failure:
    """As Go's fmt.Errorf does it."""
    outer = failure(text, kind)
    outer.cause.CopyFrom(cause)
    return outer


def events(*steps: tuple[str, float, dict[str, Any]]) -> list[HistoryEvent]:
    """`("WORKFLOW_TASK_FAILED", seconds, {attribute: value})`."""
    found = []
    for number, (name, when, attributes) in enumerate(steps, 1):
        event = HistoryEvent(event_id=number, event_type=EventType.Value(f"EVENT_TYPE_{name}"), task_id=1000 + number)
        at(event.event_time, when)
        target = getattr(event, f"{name.lower()}_event_attributes")
        target.SetInParent()
        for key, value in attributes.items():
            where, *path = key.split(".")
            holder = target
            for part in path:
                holder, where = getattr(holder, where), part
            if hasattr(value, "CopyFrom"):
                getattr(holder, where).CopyFrom(value)
            else:
                setattr(holder, where, value)
        found.append(event)
    return found


STARTED = (
    "WORKFLOW_EXECUTION_STARTED",
    0.0,
    {"workflow_type.name": "ProcessMessageWorkflow", "task_queue.name": QUEUE},
)
TASK = ("WORKFLOW_TASK_SCHEDULED", 0.0, {})
TAKEN = ("WORKFLOW_TASK_STARTED", 0.1, {"identity": "12@vm"})
DONE = ("WORKFLOW_TASK_COMPLETED", 0.2, {"identity": "12@vm"})
STICKY = ("WORKFLOW_TASK_SCHEDULED", 1.0, {"task_queue.kind": 2})
ASK = ("ACTIVITY_TASK_SCHEDULED", 0.3, {"activity_type.name": "ask_llm", "start_to_close_timeout.seconds": 28})
ASK_ID = 5  # the number of ASK, after the four above
TIMED_OUT = ("WORKFLOW_EXECUTION_TIMED_OUT", 60.0, {})
UNHANDLED = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE
NON_DETERMINISTIC = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR
HARMLESS = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND


def task_failed(text: str, cause: int = UNHANDLED) -> tuple[str, float, dict[str, Any]]:
    return ("WORKFLOW_TASK_FAILED", 0.2, {"failure": failure(text, "ValueError"), "cause": cause, "identity": "12@vm"})


def ended_by(inner: Failure) -> tuple[str, float, dict[str, Any]]:
    outer = Failure(message="Activity task failed", cause=inner)
    outer.activity_failure_info.scheduled_event_id = ASK_ID
    outer.activity_failure_info.activity_type.name = "ask_llm"
    return ("WORKFLOW_EXECUTION_FAILED", 9.0, {"failure": outer})


def started(attempt: int = 1) -> tuple[str, float, dict[str, Any]]:
    return ("ACTIVITY_TASK_STARTED", 0.4, {"scheduled_event_id": ASK_ID, "identity": "12@vm", "attempt": attempt})


def prolonged(when: float) -> tuple[tuple[str, float, dict[str, Any]], ...]:
    """What a worker does while a local activity runs: it answers the task, and takes the next one at once."""
    return (
        ("WORKFLOW_TASK_COMPLETED", when, {"identity": "12@vm"}),
        ("WORKFLOW_TASK_SCHEDULED", when, {}),
        ("WORKFLOW_TASK_STARTED", when, {"identity": "12@vm"}),
    )


def raised(text: str, cause: int = UNHANDLED) -> list[HistoryEvent]:
    """The history of a workflow whose task has just failed."""
    return events(STARTED, TASK, TAKEN, task_failed(text, cause))


def asked(*more: tuple[str, float, dict[str, Any]], beat: int = 0, queue: str = "") -> list[HistoryEvent]:
    """The history of a workflow that has scheduled its activity, and what came then."""
    name, when, attributes = ASK
    ask = (name, when, {**attributes, "heartbeat_timeout.seconds": beat, "task_queue.name": queue})
    return events(STARTED, TASK, TAKEN, DONE, ask, *more)


def worker(queue: str = QUEUE, state: str = "alive", namespace: str = "default", identity: str = "12@vm") -> Poller:
    return Poller(identity, namespace, queue, 1.0, workflows=True, activities=True, state=state)


COMMANDS = WorkerCommands(("mika start worker",), ("mika restart worker",), logs="mika logs worker")


def around(*pollers: Poller, queue: str = QUEUE) -> Surroundings:
    return Surroundings(queue=queue, pollers=pollers, run_timeout=60, execution_timeout=120, worker=COMMANDS)
