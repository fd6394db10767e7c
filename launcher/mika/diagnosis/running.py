"""What a running workflow waits for, and whether that is normal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mika.diagnosis import proto
from mika.diagnosis.model import HISTORY_ERROR, LLM_ERROR, LLM_TIMEOUT, Cause, Diagnosis, Surroundings, seconds
from mika.diagnosis.proto import Event
from mika.diagnosis.untaken import untaken

GIVE_UP_ATTEMPT = 3
"""A workflow task that failed twice fails for a reason; one failure may be a worker that was just being replaced."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The one thing that is due next. Times in seconds; `since` (taken, or due for a worker) by the server's clock."""

    what: str
    """`workflow` or the activity's type."""
    taken: bool
    attempt: int
    since: float
    backoff: float
    key: tuple[Any, ...]
    """Equal as long as it is the same wait: for who measures with a clock of their own."""
    activity: Any = None


def waiting_for(description: Any) -> Waiting | None:
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
    description: Any, events: Sequence[Any], around: Surroundings, now: float, waited: float | None
) -> Diagnosis:
    """`waited`: seconds since the wait began, from who watched it; else told from `now` and the server's times."""
    info = description.workflow_execution_info
    age = max(0.0, now - proto.at(info.start_time))
    waiting = waiting_for(description)
    failed = _failing_task(events)
    if failed is not None and (waiting is None or waiting.activity is None):
        return _task_failing(failed, waiting.attempt if waiting else 1)
    if waiting is None:
        return Diagnosis(Cause.RUNNING, f"it runs since {seconds(age)}; nothing is pending (a timer, or between steps)")
    # Nobody is expected to take an activity during the pause before its next attempt.
    since = max(0.0, now - waiting.since if waited is None else waited - waiting.backoff)
    if waiting.activity is not None:
        return _activity(waiting, description, around, now, since)
    queue = info.task_queue
    if waiting.attempt >= GIVE_UP_ATTEMPT:
        return Diagnosis(
            Cause.WORKER_UNRESPONSIVE,
            f"workers failed its workflow task {times(waiting.attempt - 1)}",
            (f"attempt {waiting.attempt} of the workflow task",),
            f"`mika logs worker` says why; {around.restart_worker}",
        )
    if since < around.patience:
        return Diagnosis(Cause.RUNNING, f"it runs since {seconds(age)}")
    if not waiting.taken:
        return untaken("it" if waiting.attempt == 1 else "its next step", since, queue, around)
    return _unanswered(since, _taker(events), around)


def _unanswered(since: float, identity: str, around: Surroundings) -> Diagnosis:
    who = f"worker {identity}" if identity else "a worker"
    state = around.state_of(identity)
    if state == "gone":
        return Diagnosis(
            Cause.NO_WORKER,
            f"{who} took its workflow task {seconds(since)} ago and was ended before it answered",
            (f"{who}: its process is gone",),
            f"{around.start_worker} (the server hands the task on after the workflow task time-out)",
        )
    evidence: tuple[str, ...] = (f"{who} took the workflow task {seconds(since)} ago; an answer takes milliseconds",)
    if state:
        evidence += (f"{who} is {'suspended (SIGSTOP)' if state == 'stopped' else state}",)
    return Diagnosis(
        Cause.WORKER_UNRESPONSIVE,
        f"{who} took it {seconds(since)} ago and does not answer: its event loop is blocked, or its process is stopped",
        evidence,
        around.restart_worker,
    )


def _activity(waiting: Waiting, description: Any, around: Surroundings, now: float, since: float) -> Diagnosis:
    pending = waiting.activity
    step = f"the activity {waiting.what}"
    failure = pending.last_failure if pending.HasField("last_failure") else None
    lost = failure is not None and proto.timeout_type(failure) == proto.HEARTBEAT
    queue = pending.activity_options.task_queue.name or description.workflow_execution_info.task_queue
    if not waiting.taken and since >= around.patience:
        return untaken(step, since, queue, around, own_queue=queue != description.workflow_execution_info.task_queue)
    if lost and pending.attempt > GIVE_UP_ATTEMPT:
        return Diagnosis(
            Cause.WORKER_UNRESPONSIVE,
            f"{step} was taken {pending.attempt - 1} times and its worker gave no sign of life",
            (f"last worker: {pending.last_worker_identity}",),
            around.restart_worker,
        )
    state = around.state_of(pending.last_worker_identity)
    if waiting.taken and state in ("gone", "stopped"):
        gone = state == "gone"
        return Diagnosis(
            Cause.NO_WORKER if gone else Cause.WORKER_UNRESPONSIVE,
            f"{step} is with worker {pending.last_worker_identity}, whose process is {'gone' if gone else 'suspended'}",
            (f"taken {seconds(since)} ago, attempt {pending.attempt}",),
            around.start_worker if gone else around.restart_worker,
        )
    if failure is not None:
        return _retrying(step, pending, failure, now)
    budget = proto.span(pending.activity_options.start_to_close_timeout)
    doing = f"{step} {'runs' if waiting.taken else 'is queued'} since {seconds(since)}"
    return Diagnosis(Cause.RUNNING, doing + (f" of at most {seconds(budget)}" if budget and waiting.taken else ""))


def _retrying(step: str, pending: Any, failure: Any, now: float) -> Diagnosis:
    limit = f" of {pending.maximum_attempts}" if pending.maximum_attempts else ""
    due = proto.at(pending.next_attempt_schedule_time) - now
    following = f"begins in {seconds(due)}" if due > 0 else "is under way"
    text = proto.message(failure)
    return Diagnosis(
        Cause.ACTIVITY_RETRYING,
        f"{step} failed {times(pending.attempt - 1)}, and is tried again: {text}",
        (f"attempt {pending.attempt}{limit}: {following}", f"last worker: {pending.last_worker_identity or 'unknown'}"),
        fix_of_failure(failure),
    )


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def fix_of_failure(failure: Any) -> str:
    """What to do about an activity's failure, told from what it says."""
    root = proto.innermost(failure)
    kind, text = root.application_failure_info.type, root.message
    if "is not registered on this worker" in text:
        return "the worker runs other code than the workflow: mend the name, then `mika restart worker`"
    if own_time_out(failure):
        return "raise WORKFLOW_RUN_TIMEOUT (each step gets a part of it), or use a faster model"
    if kind == LLM_ERROR:
        return "`mika doctor --llm` tries the model; then `mika workflows retry ID` if it has ended"
    if kind == HISTORY_ERROR:
        return "`mika doctor` checks the store of conversations"
    return "mend what it says (`mika logs worker` has more), then `mika restart worker`"


def own_time_out(failure: Any) -> bool:
    """The activity ended itself shortly before its time-out would have, to be able to say what it waited for."""
    root = proto.innermost(failure)
    return bool(root.application_failure_info.type == LLM_TIMEOUT)


def _failing_task(events: Sequence[Any]) -> Any:
    """The last failure of a workflow task, unless a later one was completed."""
    for event in reversed(events):
        if event.event_type == Event.TASK_COMPLETED:
            return None
        if event.event_type == Event.TASK_FAILED:
            failed = event.workflow_task_failed_event_attributes
            return None if failed.cause in proto.HARMLESS_TASK_FAILURES else failed
    return None


def _task_failing(failed: Any, attempt: int) -> Diagnosis:
    text = proto.message(failed.failure)
    evidence = (f"worker {failed.identity} failed the workflow task: {text}", f"attempt {max(2, attempt)} is next")
    if failed.cause == proto.NON_DETERMINISTIC:
        finding = "the workflow's code changed in a way that does not fit what it already did"
        fix = (
            "undo the change (or guard it with workflow.patched) and `mika restart worker`;"
            " or `mika workflows terminate ID` and `mika workflows retry ID`"
        )
    elif "is not registered" in text:
        finding, fix = text, "register that workflow in the worker (or mend the name), then `mika restart worker`"
    elif "restricted" in text.lower() and "workflow" in text.lower():
        finding = f"the sandbox refused something in the workflow's code: {text}"
        fix = "move that call into an activity, then `mika restart worker`"
    else:
        finding = f"the workflow's code raises: {text}"
        fix = "mend the workflow's code, then `mika restart worker`: it goes on by itself"
    return Diagnosis(Cause.WORKFLOW_TASK_FAILING, finding, evidence, fix)


def failing_task(events: Sequence[Any]) -> Diagnosis | None:
    """The diagnosis when the last workflow task failed, for a workflow that has ended meanwhile."""
    failed = _failing_task(events)
    return _task_failing(failed, 2) if failed is not None else None


def _taker(events: Sequence[Any]) -> str:
    """Who took the last workflow task; after a time-out the server no longer writes it down."""
    for event in reversed(events):
        if event.event_type == Event.TASK_STARTED:
            return str(event.workflow_task_started_event_attributes.identity)
        if event.event_type in (Event.TASK_COMPLETED, Event.TASK_TIMED_OUT):
            return ""
    return ""
