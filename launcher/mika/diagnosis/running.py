"""What a running workflow waits for, and whether that is normal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mika.diagnosis import proto
from mika.diagnosis.attributes import how_to_declare, undeclared_attribute
from mika.diagnosis.lost import lost_activity, lost_cache, lost_task
from mika.diagnosis.model import (
    HISTORY_ERROR,
    LANGBOT_DOWN,
    LLM_ERROR,
    LLM_TIMEOUT,
    NOT_SENT,
    ONEBOT_DOWN,
    Cause,
    Diagnosis,
    Surroundings,
    WorkerCommands,
    seconds,
    workflow_command,
)
from mika.diagnosis.proto import EventType
from mika.diagnosis.steps import retried_step
from mika.diagnosis.untaken import untaken

if TYPE_CHECKING:
    from temporalio.api.failure.v1 import Failure
    from temporalio.api.history.v1 import HistoryEvent, WorkflowTaskFailedEventAttributes
    from temporalio.api.workflow.v1 import PendingActivityInfo, WorkflowExecutionInfo
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

GIVE_UP_ATTEMPT = 3
"""A workflow task that failed twice fails for a reason; a single failure may be a worker that was being replaced."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the workflow waits for. Times in seconds; `since` (taken, or due for a worker) by the server's clock."""

    what: str
    """`workflow` or the activity's type."""
    taken: bool
    attempt: int
    since: float
    backoff: float
    key: tuple[object, ...]
    """Stays equal during one wait: for callers that measure it with a clock of their own."""
    activity: PendingActivityInfo | None = None


def waiting_for(description: DescribeWorkflowExecutionResponse) -> Waiting | None:
    """None while nothing is pending, as between two steps or during a timer."""
    if description.HasField("pending_workflow_task"):
        task = description.pending_workflow_task
        taken = task.state == proto.STARTED
        since = proto.at(task.started_time if taken else task.scheduled_time)
        return Waiting("workflow", taken, task.attempt, since, 0.0, ("workflow", task.state, task.attempt, since))
    pending = min(description.pending_activities, key=lambda a: a.state != proto.SCHEDULED, default=None)
    if pending is None:
        return None
    taken = pending.state == proto.STARTED
    due = max(proto.at(pending.scheduled_time), proto.at(pending.next_attempt_schedule_time))
    return Waiting(
        pending.activity_type.name,
        taken,
        pending.attempt,
        proto.at(pending.last_started_time) if taken else due,
        0.0 if taken else proto.span(pending.current_retry_interval),
        ("activity", pending.activity_id, pending.attempt, taken),
        pending,
    )


def running(
    description: DescribeWorkflowExecutionResponse,
    events: Sequence[HistoryEvent],
    surroundings: Surroundings,
    now: float,
    waited: float | None,
) -> Diagnosis:
    """`waited`: seconds since the wait began, by the caller's clock; None: judged by `now` and the server's times."""
    info = description.workflow_execution_info
    has_been_running = f"it has been running for {seconds(max(0.0, now - proto.at(info.start_time)))}"
    waiting = waiting_for(description)
    failed = failed_task(events)
    if failed is not None and (waiting is None or waiting.activity is None):
        return _task_failing(failed, waiting.attempt if waiting else 1, info, surroundings)
    if waiting is None and (step := retried_step(events)) and step.failure is not None:
        return Diagnosis(
            Cause.ACTIVITY_RETRYING,
            f"the local activity {step.name} failed {times(step.attempt)} and is being retried:"
            f" {proto.message(step.failure)}",
            (f"attempt {step.attempt + 1} is next",),
            fix_of_failure(step.failure, surroundings.worker),
        )
    if waiting is None:
        return Diagnosis(Cause.RUNNING, f"{has_been_running}; nothing is pending (a timer, or between two steps)")
    # Nobody is expected to take an activity during the pause before its next attempt.
    elapsed = max(0.0, now - waiting.since if waited is None else waited - waiting.backoff)
    if waiting.activity is not None:
        return _activity(waiting, waiting.activity, description, surroundings, now, elapsed)
    if waiting.attempt >= GIVE_UP_ATTEMPT:
        worker = surroundings.worker
        return Diagnosis(
            Cause.WORKER_UNRESPONSIVE,
            f"workers failed its workflow task {times(waiting.attempt - 1)}",
            (f"attempt {waiting.attempt} of the workflow task",),
            (f"`{worker.logs}` says why; " if worker.logs else "") + worker.how_to_restart(),
        )
    if elapsed < surroundings.patience:
        return Diagnosis(Cause.RUNNING, has_been_running)
    if not waiting.taken:
        lost = lost_cache(elapsed, events, description, surroundings)
        what = "it" if waiting.attempt == 1 else "its next step"
        return lost or untaken(what, elapsed, info, surroundings)
    identity = taker(events)
    if surroundings.state_of(identity) == "gone":
        return lost_task(identity, elapsed, description, surroundings)
    return _unanswered(elapsed, identity, surroundings)


def _unanswered(elapsed: float, identity: str, surroundings: Surroundings) -> Diagnosis:
    who = f"worker {identity}" if identity else "a worker"
    state = surroundings.state_of(identity)
    evidence: tuple[str, ...] = (f"{who} took the workflow task {seconds(elapsed)} ago; an answer takes milliseconds",)
    why = "its event loop is blocked, or it is suspended"
    if state:
        evidence += (f"{who} is {'suspended (SIGSTOP)' if state == 'stopped' else state}",)
    else:  # nobody here can see its process
        why = "it was killed, it is suspended, or its event loop is blocked"
    return Diagnosis(
        Cause.WORKER_UNRESPONSIVE,
        f"{who} took it {seconds(elapsed)} ago and does not answer: {why}",
        evidence,
        surroundings.worker.how_to_restart(),
    )


def _activity(
    waiting: Waiting,
    pending: PendingActivityInfo,
    description: DescribeWorkflowExecutionResponse,
    surroundings: Surroundings,
    now: float,
    elapsed: float,
) -> Diagnosis:
    info = description.workflow_execution_info
    step = f"the activity {waiting.what}"
    failure = pending.last_failure if pending.HasField("last_failure") else None
    if not waiting.taken and elapsed >= surroundings.patience:
        return untaken(step, elapsed, info, surroundings, queue=pending.activity_options.task_queue.name)
    is_lost = failure is not None and proto.timeout_type(failure) == proto.HEARTBEAT
    if is_lost and pending.attempt > GIVE_UP_ATTEMPT:
        return Diagnosis(
            Cause.WORKER_UNRESPONSIVE,
            f"{step} was taken {times(pending.attempt - 1)}, and each time its worker stopped sending heartbeats",
            (f"last worker: {pending.last_worker_identity}",),
            surroundings.worker.how_to_restart(),
        )
    state = surroundings.state_of(pending.last_worker_identity)
    if waiting.taken and state == "gone":
        return lost_activity(pending, description, surroundings, now)
    if waiting.taken and state == "stopped":
        return Diagnosis(
            Cause.WORKER_UNRESPONSIVE,
            f"{step} is with worker {pending.last_worker_identity}, whose process is suspended",
            (f"taken {seconds(elapsed)} ago, attempt {pending.attempt}",),
            surroundings.worker.how_to_restart(),
        )
    if failure is not None:
        return _retrying(step, pending, failure, now, surroundings.worker)
    doing = f"{step} has been {'running' if waiting.taken else 'queued'} for {seconds(elapsed)}"
    budget = proto.span(pending.activity_options.start_to_close_timeout)
    return Diagnosis(Cause.RUNNING, doing + (f" of at most {seconds(budget)}" if budget and waiting.taken else ""))


def _retrying(
    step: str, pending: PendingActivityInfo, failure: Failure, now: float, worker: WorkerCommands
) -> Diagnosis:
    limit = f" of {pending.maximum_attempts}" if pending.maximum_attempts else ""
    due = proto.at(pending.next_attempt_schedule_time) - now
    starts = f"starts in {seconds(due)}" if due > 0 else "is under way"
    fix = fix_of_failure(failure, worker)
    if pending.state == proto.STARTED:  # a restart would interrupt it
        fix = f"wait for the attempt that is under way; if that fails, too: {fix}"
    return Diagnosis(
        Cause.ACTIVITY_RETRYING,
        f"{step} failed {times(pending.attempt - 1)} and is being retried: {proto.message(failure)}",
        (f"attempt {pending.attempt}{limit} {starts}", f"last worker: {pending.last_worker_identity or 'unknown'}"),
        fix,
    )


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


_NOT_SENT_FIXES = {
    LANGBOT_DOWN: "start LangBot, or correct LANGBOT_API_BASE_URL",
    ONEBOT_DOWN: "start NapCat or Lagrange, or correct ONEBOT_API_URL",
    NOT_SENT: "wait: the reply is sent when the chat takes messages again",
}


def fix_of_failure(failure: Failure, worker: WorkerCommands) -> str:
    """What to do about an activity's failure, judged by its type and what it says."""
    root = proto.innermost(failure)
    kind, text = root.application_failure_info.type, root.message
    if "is not registered on this worker" in text:
        return f"the worker runs other code than the workflow: correct the name, {worker.then_restart()}"
    if is_own_time_out(failure):
        return "raise WORKFLOW_RUN_TIMEOUT (each step gets a part of it), or use a faster model"
    if kind == LLM_ERROR:
        return "`mika doctor --llm` tests the model"
    if kind == HISTORY_ERROR:
        return "`mika doctor` checks the store of conversations"
    if kind in _NOT_SENT_FIXES:
        return _NOT_SENT_FIXES[kind]
    more = f" (`{worker.logs}` has more)" if worker.logs else ""
    return f"fix what it says{more}, {worker.then_restart()}"


def is_own_time_out(failure: Failure) -> bool:
    """The activity ended itself shortly before its time-out would have, to be able to say what it waited for."""
    root = proto.innermost(failure)
    return bool(root.application_failure_info.type == LLM_TIMEOUT)


def failed_task(events: Sequence[HistoryEvent]) -> WorkflowTaskFailedEventAttributes | None:
    """The attributes of the last failure of a workflow task; None when there is none, or a later task completed."""
    for event in reversed(events):
        if event.event_type == EventType.TASK_COMPLETED:
            return None
        if event.event_type == EventType.TASK_FAILED:
            failed = event.workflow_task_failed_event_attributes
            return None if failed.cause in proto.HARMLESS_TASK_FAILURES else failed
    return None


def _task_failing(
    failed: WorkflowTaskFailedEventAttributes, attempt: int, info: WorkflowExecutionInfo, surroundings: Surroundings
) -> Diagnosis:
    text, worker = proto.message(failed.failure), surroundings.worker
    evidence: tuple[str, ...] = (f"worker {failed.identity} failed the workflow task: {text}",)
    restart, again = worker.then_restart(), ""
    if info.status == proto.RUNNING:
        evidence += (f"attempt {max(2, attempt)} is next",)
    else:
        again = f"; then {workflow_command('retry', info)}"
    if failed.cause == proto.NON_DETERMINISTIC:
        finding = "the workflow's code changed in a way that does not fit what it already did"
        keep = ": it goes on by itself; or keep the change: `mika workflows reset --stuck --to last-good`"
        fix = f"undo the change (or guard it with workflow.patched), {restart}{again or keep}"
    elif attribute := undeclared_attribute(text):
        finding = (
            f"it sets the search attribute {attribute}, which the namespace {surroundings.namespace} does not have"
        )
        fix = f"{how_to_declare(attribute, surroundings.namespace, surroundings.address)}{again}"
    elif "is not registered" in text:
        finding, fix = text, f"register that workflow in the worker (or correct the name), {restart}{again}"
    elif "restricted" in text.lower() and "workflow" in text.lower():
        finding = f"the sandbox refused something in the workflow's code: {text}"
        fix = f"move that call into an activity, {restart}{again}"
    else:
        finding = f"the workflow's code raises: {text}"
        fix = f"fix the workflow's code, {restart}{again or ': it goes on by itself'}"
    return Diagnosis(Cause.WORKFLOW_TASK_FAILING, finding, evidence, fix)


def failing_task(
    events: Sequence[HistoryEvent], info: WorkflowExecutionInfo, surroundings: Surroundings
) -> Diagnosis | None:
    """The diagnosis when the last workflow task failed, for a workflow that has ended since."""
    failed = failed_task(events)
    return _task_failing(failed, 2, info, surroundings) if failed is not None else None


def taker(events: Sequence[HistoryEvent]) -> str:
    """Who took the last workflow task; after a time-out the server no longer writes that down."""
    for event in reversed(events):
        if event.event_type == EventType.TASK_STARTED:
            return str(event.workflow_task_started_event_attributes.identity)
        if event.event_type in (EventType.TASK_COMPLETED, EventType.TASK_TIMED_OUT):
            return ""
    return ""
