"""Why a workflow that has ended did not end well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mika.diagnosis import proto
from mika.diagnosis.model import RETRY, Cause, Diagnosis, Surroundings, seconds
from mika.diagnosis.proto import Event
from mika.diagnosis.running import failing_task, fix_of_failure, own_time_out, times
from mika.diagnosis.untaken import misplaced


@dataclass(slots=True)
class Step:
    """One activity as the history tells it; times in seconds since the epoch, 0 for what did not happen."""

    name: str
    scheduled: float
    budget: float
    """Start-to-close, which bounds one attempt."""
    started: float = 0.0
    ended: float = 0.0
    attempt: int = 1
    worker: str = ""
    failure: Any = None
    outcome: str = ""

    @property
    def took(self) -> float:
        return self.ended - self.scheduled if self.ended else 0.0


def steps(events: Sequence[Any]) -> dict[int, Step]:
    """The activities by the id of the event that scheduled them, in order."""
    found: dict[int, Step] = {}
    for event in events:
        when = proto.at(event.event_time)
        match event.event_type:
            case Event.ACTIVITY_SCHEDULED:
                a = event.activity_task_scheduled_event_attributes
                found[event.event_id] = Step(a.activity_type.name, when, proto.span(a.start_to_close_timeout))
            case Event.ACTIVITY_STARTED:
                a = event.activity_task_started_event_attributes
                if step := found.get(a.scheduled_event_id):
                    step.started, step.attempt, step.worker = when, a.attempt, a.identity
                    step.failure = a.last_failure if a.HasField("last_failure") else None
            case Event.ACTIVITY_COMPLETED:
                _end(found, event.activity_task_completed_event_attributes, when, "completed")
            case Event.ACTIVITY_FAILED:
                _end(found, event.activity_task_failed_event_attributes, when, "failed")
            case Event.ACTIVITY_TIMED_OUT:
                _end(found, event.activity_task_timed_out_event_attributes, when, "timed out")
            case Event.ACTIVITY_CANCELED:
                _end(found, event.activity_task_canceled_event_attributes, when, "canceled")
    return found


def _end(found: dict[int, Step], attributes: Any, when: float, outcome: str) -> None:
    step = found.get(attributes.scheduled_event_id)
    if step is None:
        return
    step.ended, step.outcome = when, outcome
    if outcome in ("failed", "timed out"):
        step.failure = attributes.failure


def failed(events: Sequence[Any], around: Surroundings, info: Any) -> Diagnosis:
    """Status FAILED: the workflow's code let an error out, mostly that of an activity."""
    last = events[-1] if events else None
    if last is None or last.event_type != Event.EXECUTION_FAILED:
        return Diagnosis(Cause.WORKFLOW_FAILED, "it failed", (), f"`mika workflows` and the UI show it; {RETRY}")
    failure = last.workflow_execution_failed_event_attributes.failure
    if not failure.HasField("activity_failure_info"):
        text = proto.message(failure)
        return Diagnosis(
            Cause.WORKFLOW_FAILED, f"the workflow failed: {text}", (), f"mend the workflow's code, then {RETRY}"
        )
    activity = failure.activity_failure_info
    step = steps(events).get(activity.scheduled_event_id) or Step(activity.activity_type.name, 0.0, 0.0)
    return _step_failed(step, failure, around, info)


def _step_failed(step: Step, failure: Any, around: Surroundings, info: Any) -> Diagnosis:
    name = f"the activity {step.name}"
    kind = proto.timeout_type(failure)
    worker = f"last worker: {step.worker}" if step.worker else "no worker ever took it"
    evidence = (f"{name}: attempt {step.attempt}, {step.outcome or 'failed'} after {seconds(step.took)}", worker)
    if kind and not step.started:
        elsewhere = misplaced(info.task_queue, around)
        return Diagnosis(
            Cause.TIMED_OUT_NO_WORKER,
            f"no worker took {name} within {seconds(step.took)}" + (f": {elsewhere[1]}" if elsewhere else ""),
            evidence,
            f"{elsewhere[2] if elsewhere else around.start_worker}; then {RETRY}",
        )
    if kind == proto.HEARTBEAT:
        return Diagnosis(
            Cause.WORKER_UNRESPONSIVE,
            f"{name} was taken {times(step.attempt)}, and its worker gave no sign of life",
            evidence,
            f"{around.restart_worker}; then {RETRY}",
        )
    attempts = f", {times(step.attempt)}" if step.attempt > 1 else ""
    if own_time_out(failure):
        finding = f"{name} was too slow{attempts}: {proto.message(failure)}"
        return Diagnosis(Cause.TIMED_OUT_SLOW, finding, evidence, _more_time(info, around, "or use a faster model"))
    if kind:
        budget = f" of {seconds(step.budget)}" if kind == proto.START_TO_CLOSE and step.budget else ""
        return Diagnosis(
            Cause.TIMED_OUT_SLOW,
            f"{name} took longer than its {proto.TIMEOUTS[kind]} time-out{budget}{attempts}",
            evidence,
            _more_time(info, around, f"or the time-out of {step.name} in the workflow's code"),
        )
    fix = fix_of_failure(failure)
    return Diagnosis(
        Cause.ACTIVITY_FAILED,
        f"{name} failed {times(step.attempt)}: {proto.message(failure)}",
        evidence,
        fix if RETRY in fix else f"{fix}; then {RETRY}",
    )


def timed_out(description: Any, events: Sequence[Any], around: Surroundings) -> Diagnosis:
    """Status TIMED_OUT: the run or the execution was over before the workflow was."""
    info = description.workflow_execution_info
    closed, began = proto.at(info.close_time), proto.at(info.start_time)
    limit = seconds(closed - began)
    last = next((e for e in reversed(events) if Event.TASK_SCHEDULED <= e.event_type <= Event.TASK_FAILED), None)
    taken = any(e.event_type == Event.TASK_STARTED for e in events)
    if not taken:
        return _never_taken("it", closed - began, info, around, limit)
    failing = failing_task(events)
    if failing is not None:
        finding = f"{failing.finding} (until its {limit} were over)"
        return Diagnosis(failing.cause, finding, failing.evidence, failing.fix)
    if last is not None and last.event_type == Event.TASK_SCHEDULED:
        waited = closed - proto.at(last.event_time)
        if waited >= around.patience:
            return _never_taken("its last step", waited, info, around, limit)
    if last is not None and last.event_type in (Event.TASK_STARTED, Event.TASK_TIMED_OUT):
        return _unanswered(events, closed, around, limit)
    for pending in description.pending_activities:
        step = f"the activity {pending.activity_type.name}"
        due = max(proto.at(pending.scheduled_time), proto.at(pending.next_attempt_schedule_time))
        if pending.state == proto.SCHEDULED and closed - due >= around.patience:
            return _never_taken(step, closed - due, info, around, limit)
        if pending.HasField("last_failure") and not _is_time_out(pending.last_failure):
            return Diagnosis(
                Cause.ACTIVITY_FAILED,
                f"{step} failed {times(pending.attempt - 1)} until the run's {limit} were over:"
                f" {proto.message(pending.last_failure)}",
                (f"attempt {pending.attempt}, last worker {pending.last_worker_identity}",),
                f"{fix_of_failure(pending.last_failure)}; then {RETRY}",
            )
    return _too_slow(description, events, around, closed)


def _is_time_out(failure: Any) -> bool:
    return bool(proto.timeout_type(failure)) or own_time_out(failure)


def _never_taken(what: str, waited: float, info: Any, around: Surroundings, limit: str) -> Diagnosis:
    elsewhere = misplaced(info.task_queue, around)
    finding = f"no worker took {what} for {seconds(waited)}, and its {limit} were over"
    if elsewhere:
        finding += f": {elsewhere[1]}"
    evidence = [f"task queue {info.task_queue}", f"{what} waited {seconds(waited)} for a worker"]
    alive = around.alive(around.namespace, info.task_queue)
    if alive:
        evidence.append(f"now {alive[0].identity} polls it")
        return Diagnosis(
            Cause.TIMED_OUT_NO_WORKER, f"{finding} (a worker is there now)", tuple(evidence), f"send it again: {RETRY}"
        )
    fix = elsewhere[2] if elsewhere else around.start_worker
    return Diagnosis(Cause.TIMED_OUT_NO_WORKER, finding, tuple(evidence), f"{fix}; then {RETRY}")


def _unanswered(events: Sequence[Any], closed: float, around: Surroundings, limit: str) -> Diagnosis:
    started = next(e for e in reversed(events) if e.event_type == Event.TASK_STARTED)
    who = started.workflow_task_started_event_attributes.identity
    since = seconds(closed - proto.at(started.event_time))
    return Diagnosis(
        Cause.WORKER_UNRESPONSIVE,
        f"worker {who} took it and never answered (it hung, or was killed) until its {limit} were over",
        (f"the workflow task was taken {since} before the end",),
        f"{around.restart_worker}; then {RETRY}",
    )


def _too_slow(description: Any, events: Sequence[Any], around: Surroundings, closed: float) -> Diagnosis:
    info = description.workflow_execution_info
    limit = closed - proto.at(info.start_time)
    done = [(step.took, step.name, step.attempt) for step in steps(events).values() if step.ended]
    pending = [(closed - proto.at(p.scheduled_time), p) for p in description.pending_activities]
    evidence = [f"{name} took {seconds(took)} (attempt {attempt})" for took, name, attempt in done]
    for took, p in pending:
        evidence.append(
            f"{p.activity_type.name} was still at work after {seconds(took)}"
            f" (attempt {p.attempt}, worker {p.last_worker_identity or 'none'})"
        )
    took_times = [(took, name) for took, name, _ in done] + [(took, p.activity_type.name) for took, p in pending]
    slowest = max(took_times, default=None)
    if slowest is None:
        finding = f"its {seconds(limit)} were over while no activity ran: it waited for a timer or a signal"
    else:
        finding = f"{slowest[1]} took {seconds(slowest[0])} of the {seconds(limit)} that the whole run had"
    return Diagnosis(Cause.TIMED_OUT_SLOW, finding, tuple(evidence), _more_time(info, around, ""))


def _more_time(info: Any, around: Surroundings, other: str) -> str:
    """Which variable to raise, and to what."""
    suffix = f" ({other})" if other else ""
    run, execution = around.run_timeout, around.execution_timeout
    if run is None or info.task_queue != around.queue:
        return f"raise its run time-out where it is started{suffix}"
    more = 2 * run
    settings = f"WORKFLOW_RUN_TIMEOUT={more:g}"
    if execution is not None and execution < more:
        settings += f" WORKFLOW_EXECUTION_TIMEOUT={2 * more:g}"
    return f"set {settings} in .env{suffix}, then `mika down` and `mika up -d`; then {RETRY}"
