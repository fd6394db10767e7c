"""What a running workflow waits for, and whether that is normal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mika.diagnosis import proto, sdks
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
from mika.diagnosis.untaken import SUSPENDED, untaken
from mika.frozen import frozen
from mika.wording import _, joined

if TYPE_CHECKING:
    from temporalio.api.failure.v1 import Failure
    from temporalio.api.history.v1 import HistoryEvent, WorkflowTaskFailedEventAttributes
    from temporalio.api.workflow.v1 import PendingActivityInfo, WorkflowExecutionInfo
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

GIVE_UP_ATTEMPT = 3
"""A workflow task that failed twice fails for a reason; a single failure may be a worker that was being replaced."""


@frozen
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
    time = seconds(max(0.0, now - proto.at(info.start_time)))
    waiting = waiting_for(description)
    failed = failed_task(events)
    if failed is not None and (waiting is None or waiting.activity is None):
        return _task_failing(failed, waiting.attempt if waiting else 1, info, surroundings)
    if waiting is None and (step := retried_step(events)) and step.failure is not None:
        return Diagnosis(
            Cause.ACTIVITY_RETRYING,
            _(
                "{step} failed {times} and is being retried: {error}",
                step=_("the local activity {name}", name=step.name),
                times=times(step.attempt),
                error=proto.message(step.failure),
            ),
            (_("attempt {attempt} is next", attempt=step.attempt + 1),),
            fix_of_failure(step.failure, surroundings.worker),
        )
    if waiting is None:
        finding = _("it has been running for {time}; nothing is pending (a timer, or between two steps)", time=time)
        return Diagnosis(Cause.RUNNING, finding)
    # Nobody is expected to take an activity during the pause before its next attempt.
    elapsed = max(0.0, now - waiting.since if waited is None else waited - waiting.backoff)
    if waiting.activity is not None:
        return _activity(waiting, waiting.activity, description, surroundings, now, elapsed)
    if waiting.attempt >= GIVE_UP_ATTEMPT:
        return _failed_by_workers(waiting.attempt, surroundings.worker)
    if elapsed < surroundings.patience:
        return Diagnosis(Cause.RUNNING, _("it has been running for {time}", time=time))
    if not waiting.taken:
        lost = lost_cache(elapsed, events, description, surroundings)
        what = _("it") if waiting.attempt == 1 else _("its next step")
        return lost or untaken(what, elapsed, info, surroundings)
    identity = taker(events)
    if surroundings.state_of(identity) == "gone":
        return lost_task(identity, elapsed, description, surroundings)
    return _unanswered(elapsed, identity, surroundings)


def _failed_by_workers(attempt: int, worker: WorkerCommands) -> Diagnosis:
    fix = worker.how_to_restart()
    if worker.logs:
        fix = _("`{logs}` may say why; {restart}", logs=worker.logs, restart=fix)
    return Diagnosis(
        Cause.WORKER_UNRESPONSIVE,
        _("workers failed its workflow task {times}", times=times(attempt - 1)),
        (_("attempt {attempt} of the workflow task", attempt=attempt),),
        fix,
    )


def _unanswered(elapsed: float, identity: str, surroundings: Surroundings) -> Diagnosis:
    who = _("worker {worker}", worker=identity) if identity else _("a worker")
    state, time = surroundings.state_of(identity), seconds(elapsed)
    evidence: tuple[str, ...] = (
        _("{who} took the workflow task {time} ago; an answer takes milliseconds", who=who, time=time),
    )
    why = _("its event loop is blocked, or it is suspended")
    if state:
        evidence += (_("{who} is {state}", who=who, state=_STATES[state]),)
    else:  # nobody here can see its process
        why = _("it was killed, it is suspended, or its event loop is blocked")
    return Diagnosis(
        Cause.WORKER_UNRESPONSIVE,
        _("{who} took it {time} ago and does not answer: {why}", who=who, time=time, why=why),
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
    step = _("the activity {name}", name=waiting.what)
    failure = pending.last_failure if pending.HasField("last_failure") else None
    if not waiting.taken and elapsed >= surroundings.patience:
        return untaken(step, elapsed, info, surroundings, queue=pending.activity_options.task_queue.name)
    is_lost = failure is not None and proto.timeout_type(failure) == proto.HEARTBEAT
    if is_lost and pending.attempt > GIVE_UP_ATTEMPT:
        return Diagnosis(
            Cause.WORKER_UNRESPONSIVE,
            _(
                "{step} was taken {times}, and each time its worker stopped sending heartbeats",
                step=step,
                times=times(pending.attempt - 1),
            ),
            (_("last worker: {worker}", worker=pending.last_worker_identity),),
            surroundings.worker.how_to_restart(),
        )
    state = surroundings.state_of(pending.last_worker_identity)
    if waiting.taken and state == "gone":
        return lost_activity(pending, description, surroundings, now)
    if waiting.taken and state == "stopped":
        return Diagnosis(
            Cause.WORKER_UNRESPONSIVE,
            _(
                "{step} is with worker {worker}, whose process is suspended",
                step=step,
                worker=pending.last_worker_identity,
            ),
            (_("taken {time} ago, attempt {attempt}", time=seconds(elapsed), attempt=pending.attempt),),
            surroundings.worker.how_to_restart(),
        )
    if failure is not None:
        return _retrying(step, pending, failure, now, surroundings.worker)
    return Diagnosis(Cause.RUNNING, _doing(step, waiting.taken, elapsed, pending))


def _doing(step: str, taken: bool, elapsed: float, pending: PendingActivityInfo) -> str:
    time, budget = seconds(elapsed), proto.span(pending.activity_options.start_to_close_timeout)
    if not taken:
        return _("{step} has been queued for {time}", step=step, time=time)
    if not budget:
        return _("{step} has been running for {time}", step=step, time=time)
    limit = seconds(budget)
    return _("{step} has been running for {time} of at most {limit}", step=step, time=time, limit=limit)


def _retrying(
    step: str, pending: PendingActivityInfo, failure: Failure, now: float, worker: WorkerCommands
) -> Diagnosis:
    attempt = _("attempt {attempt}", attempt=pending.attempt)
    if pending.maximum_attempts:
        attempt = _("attempt {attempt} of {most}", attempt=pending.attempt, most=pending.maximum_attempts)
    due, identity = proto.at(pending.next_attempt_schedule_time) - now, pending.last_worker_identity
    fix = fix_of_failure(failure, worker)
    if pending.state == proto.STARTED:  # a restart would interrupt it
        fix = _("wait for the attempt that is under way; if that fails, too: {fix}", fix=fix)
    return Diagnosis(
        Cause.ACTIVITY_RETRYING,
        _(
            "{step} failed {times} and is being retried: {error}",
            step=step,
            times=times(pending.attempt - 1),
            error=proto.message(failure),
        ),
        (
            _("{attempt} starts in {time}", attempt=attempt, time=seconds(due))
            if due > 0
            else _("{attempt} is under way", attempt=attempt),
            _("last worker: {worker}", worker=identity) if identity else _("last worker: unknown"),
        ),
        fix,
    )


_STATES = {
    "alive": _("alive"),
    "stale": _("stale"),
    "gone": _("gone"),
    "stopped": SUSPENDED,
    "hung": _("hung"),
}


def times(count: int) -> str:
    return _("once") if count == 1 else _("{count} times", count=count)


_NOT_SENT_FIXES = {
    LANGBOT_DOWN: _("start LangBot, or correct LANGBOT_API_BASE_URL"),
    ONEBOT_DOWN: _("start NapCat or Lagrange, or correct ONEBOT_API_URL"),
    NOT_SENT: _("wait: the reply is sent when the chat takes messages again"),
}


def fix_of_failure(failure: Failure, worker: WorkerCommands) -> str:
    """What to do about an activity's failure, judged by its type and what it says."""
    root = proto.innermost(failure)
    kind = root.application_failure_info.type
    if sdks.is_activity_unknown(failure):
        return _(
            "let the worker register an activity of that name, {restart}: this run keeps the name that it asked for",
            restart=worker.then_restart(),
        )
    if is_own_time_out(failure):
        return _("raise WORKFLOW_RUN_TIMEOUT (each step gets a part of it), or use a faster model")
    if kind == LLM_ERROR:
        return _("`mika doctor --llm` tests the model")
    if kind == HISTORY_ERROR:
        return _("`mika doctor` checks the store of conversations")
    if kind in _NOT_SENT_FIXES:
        return _NOT_SENT_FIXES[kind]
    if worker.logs:
        return _(
            "fix what the error names (`{logs}` has more), {restart}", logs=worker.logs, restart=worker.then_restart()
        )
    return _("fix what the error names, {restart}", restart=worker.then_restart())


def is_own_time_out(failure: Failure) -> bool:
    """The activity ended itself shortly before its timeout would have, to be able to say what it waited for."""
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
    text = proto.message(failed.failure)
    evidence: tuple[str, ...] = (
        _("worker {worker} failed the workflow task: {error}", worker=failed.identity, error=text),
    )
    again = ""
    if info.status == proto.RUNNING:
        evidence += (_("attempt {attempt} is next", attempt=max(2, attempt)),)
    else:
        again = _("; then {retry}", retry=workflow_command("retry", info))
    if sdks.is_input_unreadable(failed.failure):
        restart, terminate = surroundings.worker.then_restart(), workflow_command("terminate", info)
        fix: str = _("correct the type of the input in the workflow's code, {restart}", restart=restart)
        if not again:
            fix = _("{fix}; or {terminate}, and start it with another input", fix=fix, terminate=terminate)
        return Diagnosis(Cause.WORKFLOW_TASK_FAILING, cannot_read_input(text), evidence, fix)
    finding, fix = _finding_and_fix(failed, text, again, surroundings)
    return Diagnosis(Cause.WORKFLOW_TASK_FAILING, finding, evidence, fix)


def cannot_read_input(error: str) -> str:
    return _("it cannot read its input: {error}", error=error)


def _finding_and_fix(
    failed: WorkflowTaskFailedEventAttributes, text: str, again: str, surroundings: Surroundings
) -> tuple[str, str]:
    """`again` is how to start the workflow again; empty while it runs."""
    restart = surroundings.worker.then_restart()
    by_itself = _(": it goes on by itself")
    if failed.cause == proto.NON_DETERMINISTIC:
        keep = _(": it goes on by itself; or keep the change: `mika workflows reset --stuck --to last-good`")
        return _("the workflow's code changed in a way that does not fit what it already did"), _(
            "undo the change (or guard it with `patched`, in Go and Java with `GetVersion`), {restart}{then}",
            restart=restart,
            then=again or keep,
        )
    if attribute := undeclared_attribute(text):
        namespace = surroundings.namespace
        finding = _(
            "it sets the search attribute {attribute}, which the namespace {namespace} does not have",
            attribute=attribute,
            namespace=namespace,
        )
        return finding, joined("", (how_to_declare(attribute, namespace, surroundings.address), again))
    if sdks.is_workflow_unknown(failed.failure):
        return text, _(
            "register that workflow in the worker (or correct the name), {restart}{then}", restart=restart, then=again
        )
    if "restricted" in text.lower() and "workflow" in text.lower():
        return _("the sandbox refused something in the workflow's code: {error}", error=text), _(
            "move that call into an activity, {restart}{then}", restart=restart, then=again
        )
    return _("the workflow's code raises: {error}", error=text), _(
        "fix the workflow's code, {restart}{then}", restart=restart, then=again or by_itself
    )


def failing_task(
    events: Sequence[HistoryEvent], info: WorkflowExecutionInfo, surroundings: Surroundings
) -> Diagnosis | None:
    """The diagnosis when the last workflow task failed, for a workflow that has ended since."""
    failed = failed_task(events)
    return _task_failing(failed, 2, info, surroundings) if failed is not None else None


def taker(events: Sequence[HistoryEvent]) -> str:
    """Who took the last workflow task; after a timeout the server no longer writes that down."""
    for event in reversed(events):
        if event.event_type == EventType.TASK_STARTED:
            return str(event.workflow_task_started_event_attributes.identity)
        if event.event_type in (EventType.TASK_COMPLETED, EventType.TASK_TIMED_OUT):
            return ""
    return ""
