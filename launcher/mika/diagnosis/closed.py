"""Why a workflow that has ended did not end well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mika.diagnosis import proto
from mika.diagnosis.model import Cause, Diagnosis, Surroundings, seconds, workflow_command
from mika.diagnosis.proto import EventType
from mika.diagnosis.running import failing_task, fix_of_failure, is_own_time_out, times
from mika.diagnosis.steps import Step, step_of, steps
from mika.diagnosis.untaken import find_misplaced

if TYPE_CHECKING:
    from temporalio.api.failure.v1 import Failure
    from temporalio.api.history.v1 import HistoryEvent
    from temporalio.api.workflow.v1 import WorkflowExecutionInfo
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse


def failed(events: Sequence[HistoryEvent], surroundings: Surroundings, info: WorkflowExecutionInfo) -> Diagnosis:
    """Status FAILED: the workflow's code let an error through, mostly that of an activity."""
    last = events[-1] if events else None
    retry = workflow_command("retry", info)
    if last is None or last.event_type != EventType.EXECUTION_FAILED:
        return Diagnosis(Cause.WORKFLOW_FAILED, "it failed", (), f"`mika workflows` and the UI show why; then {retry}")
    failure = last.workflow_execution_failed_event_attributes.failure
    if not failure.HasField("activity_failure_info"):
        text = proto.message(failure)
        return Diagnosis(
            Cause.WORKFLOW_FAILED, f"the workflow failed: {text}", (), f"fix the workflow's code, then {retry}"
        )
    return _step_failed(step_of(failure, events), failure, surroundings, info)


def _step_failed(step: Step, failure: Failure, surroundings: Surroundings, info: WorkflowExecutionInfo) -> Diagnosis:
    name = f"the activity {step.name}"
    timeout = proto.timeout_type(failure)
    attempts = f", {times(step.attempt)}" if step.attempt > 1 else ""
    evidence = (
        f"{name}: attempt {step.attempt}, {step.outcome or 'failed'} after {seconds(step.took)}",
        f"last worker: {step.worker}" if step.worker else "no worker ever took it",
    )
    if timeout and not step.started and (crowded := _overloaded(name, evidence, surroundings, info)):
        return crowded
    if timeout and not step.started:
        elsewhere, fix = _where_workers_are(surroundings, info)
        finding = f"no worker took {name} within {seconds(step.took)}{elsewhere}"
        return Diagnosis(Cause.TIMED_OUT_NO_WORKER, finding, evidence, fix)
    retry = workflow_command("retry", info)
    if timeout == proto.HEARTBEAT:
        return Diagnosis(
            Cause.WORKER_UNRESPONSIVE,
            f"{name} was taken {times(step.attempt)}, and its worker stopped sending heartbeats",
            evidence,
            f"{surroundings.worker.how_to_restart()}; then {retry}",
        )
    if is_own_time_out(failure):
        finding = f"{name} was too slow{attempts}: {proto.message(failure)}"
        fix = _more_time(info, surroundings, "or use a faster model")
        return Diagnosis(Cause.TIMED_OUT_SLOW, finding, evidence, fix)
    if timeout == proto.SCHEDULE_TO_CLOSE and step.before is not None and not proto.timeout_type(step.before):
        why = f"{times(step.attempt - 1)}, and its time was up in the next attempt: {proto.message(step.before)}"
        fix = f"{fix_of_failure(step.before, surroundings.worker)}; then {retry}"
        return Diagnosis(Cause.ACTIVITY_FAILED, f"{name} failed {why}", evidence, fix)
    if timeout:
        budget = f" of {seconds(step.budget)}" if timeout == proto.START_TO_CLOSE and step.budget else ""
        finding = f"{name} took longer than its {proto.TIMEOUTS[timeout]} time-out{budget}{attempts}"
        fix = _more_time(info, surroundings, f"or the time-out of {step.name} in the workflow's code")
        return Diagnosis(Cause.TIMED_OUT_SLOW, finding, evidence, fix)
    return Diagnosis(
        Cause.ACTIVITY_FAILED,
        f"{name} failed {times(step.attempt)}: {proto.message(failure)}",
        evidence,
        f"{fix_of_failure(failure, surroundings.worker)}; then {retry}",
    )


def timed_out(
    description: DescribeWorkflowExecutionResponse, events: Sequence[HistoryEvent], surroundings: Surroundings
) -> Diagnosis:
    """Status TIMED_OUT: the time of the run or of the execution was up before the workflow had ended."""
    info = description.workflow_execution_info
    closed, started = proto.at(info.close_time), proto.at(info.start_time)
    limit = seconds(closed - started)
    if not any(event.event_type == EventType.TASK_STARTED for event in events):
        return _never_taken("it", closed - started, info, surroundings, limit)
    failing = failing_task(events, info, surroundings)
    if failing is not None:
        return replace(failing, finding=f"{failing.finding} (until its {limit} were up)")
    is_of_task = range(EventType.TASK_SCHEDULED, EventType.TASK_FAILED + 1)
    last = next((event for event in reversed(events) if event.event_type in is_of_task), None)
    if last is not None and last.event_type == EventType.TASK_SCHEDULED:
        waited = closed - proto.at(last.event_time)
        if waited >= surroundings.patience:
            return _never_taken("its last step", waited, info, surroundings, limit)
    if last is not None and last.event_type in (EventType.TASK_STARTED, EventType.TASK_TIMED_OUT):
        return _unanswered(events, info, surroundings, limit)
    return _activity_timed_out(description, surroundings, closed, limit) or _too_slow(
        description, events, surroundings, closed
    )


def _activity_timed_out(
    description: DescribeWorkflowExecutionResponse, surroundings: Surroundings, closed: float, limit: str
) -> Diagnosis | None:
    """The pending activity that nobody took, or that kept failing, until the run's time was up."""
    info = description.workflow_execution_info
    for pending in description.pending_activities:
        step = f"the activity {pending.activity_type.name}"
        due = max(proto.at(pending.scheduled_time), proto.at(pending.next_attempt_schedule_time))
        if pending.state == proto.SCHEDULED and closed - due >= surroundings.patience:
            return _never_taken(step, closed - due, info, surroundings, limit)
        failure = pending.last_failure if pending.HasField("last_failure") else None
        if failure is not None and not proto.timeout_type(failure) and not is_own_time_out(failure):
            return Diagnosis(
                Cause.ACTIVITY_FAILED,
                f"{step} failed {times(pending.attempt - 1)} until the run's {limit} were up: {proto.message(failure)}",
                (f"attempt {pending.attempt}, last worker {pending.last_worker_identity}",),
                f"{fix_of_failure(failure, surroundings.worker)}; then {workflow_command('retry', info)}",
            )
    return None


def _where_workers_are(surroundings: Surroundings, info: WorkflowExecutionInfo) -> tuple[str, str]:
    """For a task that nobody took: the end of the finding, where workers poll something else; and the fix."""
    misplaced = find_misplaced(info.task_queue, surroundings)
    retry = workflow_command("retry", info)
    if misplaced is None:
        return "", f"{surroundings.worker.how_to_start()}; then {retry}"
    finding = f": it waited in {info.task_queue}, and {misplaced.worker.who} polls {misplaced.place}"
    return finding, f"{misplaced.fix}; then {retry}"


def _never_taken(
    what: str, waited: float, info: WorkflowExecutionInfo, surroundings: Surroundings, limit: str
) -> Diagnosis:
    finding = f"no worker took {what} for {seconds(waited)}, and its {limit} were up"
    evidence: tuple[str, ...] = (f"task queue {info.task_queue}", f"{what} waited {seconds(waited)} for a worker")
    if crowded := _overloaded(what, evidence, surroundings, info):
        return crowded
    alive = surroundings.alive(surroundings.namespace, info.task_queue)
    if alive:
        finding += " (there is a worker now)"
        evidence = (*evidence, f"now {alive[0].who} polls it")
        fix = f"start it again: {workflow_command('retry', info)}"
    else:
        elsewhere, fix = _where_workers_are(surroundings, info)
        finding += elsewhere
    return Diagnosis(Cause.TIMED_OUT_NO_WORKER, finding, evidence, fix)


def _overloaded(
    what: str, evidence: tuple[str, ...], surroundings: Surroundings, info: WorkflowExecutionInfo
) -> Diagnosis | None:
    """If others were completed meanwhile: there were workers, and they had too much to do."""
    crowd = surroundings.crowd
    if crowd is None or not crowd.completed:
        return None
    return Diagnosis(
        Cause.OVERLOADED,
        f"{what} was not taken in time, because the workers were busy: {crowd.before} workflows were open before it,"
        f" and {crowd.rate:.2g} were completed per second",
        (*evidence, f"{crowd.completed} were completed in {info.task_queue} in the {seconds(crowd.span)} that it had"),
        f"start fewer at once, or more workers; to start it again: {workflow_command('retry', info)}",
    )


def _unanswered(
    events: Sequence[HistoryEvent], info: WorkflowExecutionInfo, surroundings: Surroundings, limit: str
) -> Diagnosis:
    started = next(event for event in reversed(events) if event.event_type == EventType.TASK_STARTED)
    who = started.workflow_task_started_event_attributes.identity
    before = seconds(proto.at(info.close_time) - proto.at(started.event_time))
    return Diagnosis(
        Cause.WORKER_UNRESPONSIVE,
        f"worker {who} took it and never answered (it hung, or was killed) until its {limit} were up",
        (f"the workflow task was taken {before} before the end",),
        f"{surroundings.worker.how_to_restart()}; then {workflow_command('retry', info)}",
    )


def _too_slow(
    description: DescribeWorkflowExecutionResponse,
    events: Sequence[HistoryEvent],
    surroundings: Surroundings,
    closed: float,
) -> Diagnosis:
    info = description.workflow_execution_info
    limit = seconds(closed - proto.at(info.start_time))
    done = [step for step in steps(events).values() if step.ended]
    pending = [(closed - proto.at(activity.scheduled_time), activity) for activity in description.pending_activities]
    evidence = [f"{step.name} took {seconds(step.took)} (attempt {step.attempt})" for step in done]
    for took, activity in pending:
        evidence.append(
            f"{activity.activity_type.name} was still running after {seconds(took)}"
            f" (attempt {activity.attempt}, worker {activity.last_worker_identity or 'none'})"
        )
    durations = [(step.took, step.name) for step in done]
    durations += [(took, activity.activity_type.name) for took, activity in pending]
    slowest = max(durations, default=None)
    if slowest is None:
        finding = f"its {limit} were up while no activity was running: it waited for a timer or a signal"
    else:
        finding = f"{slowest[1]} took {seconds(slowest[0])} of the {limit} that the whole run had"
    return Diagnosis(Cause.TIMED_OUT_SLOW, finding, tuple(evidence), _more_time(info, surroundings))


def _more_time(info: WorkflowExecutionInfo, surroundings: Surroundings, other: str = "") -> str:
    """Which variable to raise, and to what; `other` is another way to the same end."""
    suffix = f" ({other})" if other else ""
    run, execution = surroundings.run_timeout, surroundings.execution_timeout
    if run is None or info.task_queue != surroundings.queue:
        return f"raise its run time-out where it is started{suffix}"
    more = 2 * run
    settings = f"WORKFLOW_RUN_TIMEOUT={more:g}"
    if execution is not None and execution < more:
        settings += f" WORKFLOW_EXECUTION_TIMEOUT={2 * more:g}"
    retry = workflow_command("retry", info)
    return f"set {settings} in .env{suffix}, then `mika down` and `mika up -d`; then {retry}"
