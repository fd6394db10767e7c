"""What a running workflow waits for, and whether that is normal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mika.diagnosis import local, proto, sdks
from mika.diagnosis.activity import GIVE_UP_ATTEMPT, with_activity
from mika.diagnosis.attributes import how_to_declare, undeclared_attribute
from mika.diagnosis.endpoints import how_to_make, missing_endpoint
from mika.diagnosis.fixes import fix_of_failure, pass_a_reference, times
from mika.diagnosis.lost import lost_cache, lost_task
from mika.diagnosis.model import Cause, Diagnosis, Surroundings, WorkerCommands, seconds, workflow_command
from mika.diagnosis.pending import without_a_task
from mika.diagnosis.proto import EventType
from mika.diagnosis.steps import retried_step
from mika.diagnosis.untaken import SUSPENDED, untaken
from mika.diagnosis.versions import of_other_versions
from mika.frozen import frozen
from mika.wording import _, joined

if TYPE_CHECKING:
    from temporalio.api.history.v1 import HistoryEvent, WorkflowTaskFailedEventAttributes
    from temporalio.api.workflow.v1 import PendingActivityInfo, WorkflowExecutionInfo
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse


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
    taken = proto.is_taken(pending.state)
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
        attempt, is_taken = (waiting.attempt, waiting.taken) if waiting is not None else (1, False)
        return _task_failing(failed, attempt, info, surroundings, is_taken=is_taken)
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
        return without_a_task(description, events, surroundings, now)
    # Nobody is expected to take an activity during the pause before its next attempt.
    elapsed = max(0.0, now - waiting.since if waited is None else waited - waiting.backoff)
    if waiting.activity is not None:
        return with_activity(waiting.activity, description, surroundings, now, elapsed)
    if waiting.attempt >= GIVE_UP_ATTEMPT:
        return _failed_by_workers(waiting.attempt, surroundings.worker)
    if elapsed < surroundings.patience:
        return Diagnosis(Cause.RUNNING, _("it has been running for {time}", time=time))
    if not waiting.taken:
        is_stranded = of_other_versions(info, info.task_queue, surroundings)
        lost = None if is_stranded else lost_cache(elapsed, events, description, surroundings)
        what = _("it") if waiting.attempt == 1 else _("its next step")
        return lost or untaken(what, elapsed, info, surroundings)
    identity = taker(events)
    state = surroundings.state_of(identity)
    if state == "gone":
        return lost_task(identity, elapsed, description, surroundings)
    since = local.runs_since(events)
    if since is not None and state not in ("hung", "stopped"):
        return local.in_local_activity(identity, now - since)
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


_STATES = {
    "alive": _("alive"),
    "stale": _("stale"),
    "gone": _("gone"),
    "stopped": SUSPENDED,
    "hung": _("hung"),
}


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
    failed: WorkflowTaskFailedEventAttributes,
    attempt: int,
    info: WorkflowExecutionInfo,
    surroundings: Surroundings,
    *,
    is_taken: bool,
) -> Diagnosis:
    text = proto.message(failed.failure)
    evidence: tuple[str, ...] = (
        _("worker {worker} failed the workflow task: {error}", worker=failed.identity, error=text),
    )
    again = ""
    if info.status == proto.RUNNING:
        evidence += (
            _("attempt {attempt} is under way", attempt=attempt)
            if is_taken and attempt > 1
            else _("attempt {attempt} is next", attempt=max(2, attempt)),
        )
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
    if endpoint := missing_endpoint(text):
        finding = _("it calls the Nexus endpoint {endpoint}, which the server does not have", endpoint=endpoint)
        return finding, joined("", (how_to_make(endpoint, surroundings.namespace, surroundings.address), again))
    if sdks.is_too_large(failed.failure):
        return text, joined("", (pass_a_reference(surroundings.worker), again or by_itself))
    if sdks.is_workflow_unknown(failed.failure) and surroundings.worker.processes:
        return text, surroundings.worker.apart_or_alike(_("that workflow"), again)
    if sdks.is_workflow_unknown(failed.failure):
        return text, _(
            "register that workflow in the worker (or correct the name), {restart}{then}", restart=restart, then=again
        )
    if "restricted" in text.lower() and "workflow" in text.lower():
        finding = _("the sandbox refused something in the workflow's code: {error}", error=text)
        if replacement := sdks.instead(text):
            return finding, _(
                "use `{replacement}`, {restart}{then}", replacement=replacement, restart=restart, then=again
            )
        return finding, _("move that call into an activity, {restart}{then}", restart=restart, then=again)
    return _("the workflow's code raises: {error}", error=text), _(
        "fix the workflow's code, {restart}{then}", restart=restart, then=again or by_itself
    )


def failing_task(
    events: Sequence[HistoryEvent], info: WorkflowExecutionInfo, surroundings: Surroundings
) -> Diagnosis | None:
    """The diagnosis when the last workflow task failed, for a workflow that has ended since."""
    failed = failed_task(events)
    return _task_failing(failed, 2, info, surroundings, is_taken=False) if failed is not None else None


def taker(events: Sequence[HistoryEvent]) -> str:
    """Who took the last workflow task; after a timeout the server no longer writes that down."""
    for event in reversed(events):
        if event.event_type == EventType.TASK_STARTED:
            return str(event.workflow_task_started_event_attributes.identity)
        if event.event_type in (EventType.TASK_COMPLETED, EventType.TASK_TIMED_OUT):
            return ""
    return ""
