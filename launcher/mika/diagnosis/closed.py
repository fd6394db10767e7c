"""Why a workflow that has ended did not end well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mika.diagnosis import proto, sdks
from mika.diagnosis.fixes import (
    fix_of_failure,
    is_hung,
    is_own_time_out,
    more_heartbeats,
    no_heartbeat,
    times,
)
from mika.diagnosis.model import Cause, Diagnosis, Surroundings, seconds, workflow_command
from mika.diagnosis.proto import EventType
from mika.diagnosis.running import cannot_read_input, failing_task
from mika.diagnosis.steps import Step, step_of, steps
from mika.diagnosis.untaken import find_misplaced, names_own_queue, serve
from mika.wording import Text, _

if TYPE_CHECKING:
    from temporalio.api.failure.v1 import Failure
    from temporalio.api.history.v1 import HistoryEvent
    from temporalio.api.workflow.v1 import PendingActivityInfo, WorkflowExecutionInfo
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse


def failed(events: Sequence[HistoryEvent], surroundings: Surroundings, info: WorkflowExecutionInfo) -> Diagnosis:
    """Status FAILED: the workflow's code let an error through, mostly that of an activity."""
    last = events[-1] if events else None
    retry = workflow_command("retry", info)
    if last is None or last.event_type != EventType.EXECUTION_FAILED:
        fix = _("`mika workflows` and the UI show why; then {retry}", retry=retry)
        return Diagnosis(Cause.WORKFLOW_FAILED, _("it failed"), (), fix)
    failure = last.workflow_execution_failed_event_attributes.failure
    if not failure.HasField("activity_failure_info"):
        if sdks.is_input_unreadable(failure):
            fix = _("start it with an input of the type that it takes ({retry} would send the same one)", retry=retry)
            return Diagnosis(Cause.WORKFLOW_FAILED, cannot_read_input(proto.message(failure)), (), fix)
        finding = _("the workflow failed: {error}", error=proto.message(failure))
        fix = _("fix the workflow's code, then {retry}", retry=retry)
        return Diagnosis(Cause.WORKFLOW_FAILED, finding, (), fix)
    return _step_failed(step_of(failure, events), failure, surroundings, info)


def _step_failed(step: Step, failure: Failure, surroundings: Surroundings, info: WorkflowExecutionInfo) -> Diagnosis:
    name, timeout = _("the activity {name}", name=step.name), proto.timeout_type(failure)
    evidence = (
        _(
            "{step}: attempt {attempt}, {outcome} after {took}",
            step=name,
            attempt=step.attempt,
            outcome=step.outcome or _("failed"),
            took=seconds(step.took),
        ),
        _("last worker: {worker}", worker=step.worker) if step.worker else _("no worker ever took it"),
    )
    if timeout and not step.started:
        if crowded := _overloaded(name, evidence, surroundings, info, step.queue):
            return crowded
        elsewhere, fix = _where_workers_are(surroundings, info, step.queue)
        took = seconds(step.took)
        finding = _("no worker took {step} within {time}{elsewhere}", step=name, time=took, elsewhere=elsewhere)
        return Diagnosis(Cause.TIMED_OUT_NO_WORKER, finding, evidence, fix)
    if timeout == proto.HEARTBEAT and not is_hung(step.worker, surroundings):
        fix = _then(more_heartbeats(surroundings.worker), info)
        return Diagnosis(Cause.ACTIVITY_FAILED, no_heartbeat(name, step.attempt, step.beat), evidence, fix)
    if timeout == proto.HEARTBEAT:
        finding = _(
            "{step} was taken {times}, and its worker stopped sending heartbeats", step=name, times=times(step.attempt)
        )
        fix = _then(surroundings.worker.how_to_restart(), info)
        return Diagnosis(Cause.WORKER_UNRESPONSIVE, finding, evidence, fix)
    if is_own_time_out(failure):
        finding = _("{step} was too slow{times}: {error}", step=name, times=_tries(step), error=proto.message(failure))
        fix = _more_time(info, surroundings, _("or use a faster model"))
        return Diagnosis(Cause.TIMED_OUT_SLOW, finding, evidence, fix)
    if timeout == proto.SCHEDULE_TO_CLOSE and step.before is not None and not proto.timeout_type(step.before):
        finding = _(
            "{step} failed {times}, and its time was up in the next attempt: {error}",
            step=name,
            times=times(step.attempt - 1),
            error=proto.message(step.before),
        )
        fix = _then(fix_of_failure(step.before, surroundings.worker), info)
        return Diagnosis(Cause.ACTIVITY_FAILED, finding, evidence, fix)
    if timeout:
        return Diagnosis(
            Cause.TIMED_OUT_SLOW, _too_long(step, name, timeout), evidence, _its_time(step, timeout, info, surroundings)
        )
    finding = _("{step} failed {times}: {error}", step=name, times=times(step.attempt), error=proto.message(failure))
    return Diagnosis(
        Cause.ACTIVITY_FAILED, finding, evidence, _then(fix_of_failure(failure, surroundings.worker), info)
    )


def _too_long(step: Step, name: str, timeout: int) -> str:
    which, tries = proto.TIMEOUTS[timeout], _tries(step)
    if timeout == proto.START_TO_CLOSE and step.budget:
        return _(
            "{step} took longer than its {which} timeout of {limit}{times}",
            step=name,
            which=which,
            limit=seconds(step.budget),
            times=tries,
        )
    return _("{step} took longer than its {which} timeout{times}", step=name, which=which, times=tries)


def _its_time(step: Step, timeout: int, info: WorkflowExecutionInfo, surroundings: Surroundings) -> str:
    if surroundings.run_timeout is None or info.task_queue != surroundings.queue:
        fix = _(
            "raise the {which} timeout of {name} in the workflow's code, {restart}",
            which=proto.TIMEOUTS[timeout],
            name=step.name,
            restart=surroundings.worker.then_restart(),
        )
        return _then(fix, info)
    return _more_time(info, surroundings, _("or the timeout of {name} in the workflow's code", name=step.name))


def _tries(step: Step) -> str:
    """What follows a verb, if it was tried more than once."""
    return _(", {times}", times=times(step.attempt)) if step.attempt > 1 else ""


def _then(fix: str, info: WorkflowExecutionInfo) -> str:
    """What to do first, and then to start the workflow again."""
    return _("{fix}; then {retry}", fix=fix, retry=workflow_command("retry", info))


def timed_out(
    description: DescribeWorkflowExecutionResponse, events: Sequence[HistoryEvent], surroundings: Surroundings
) -> Diagnosis:
    """Status TIMED_OUT: the time of the run or of the execution was up before the workflow had ended."""
    info = description.workflow_execution_info
    closed, started = proto.at(info.close_time), proto.at(info.start_time)
    limit = seconds(closed - started)
    if not any(event.event_type == EventType.TASK_STARTED for event in events):
        return _never_taken(_("it"), closed - started, info, surroundings, limit)
    failing = failing_task(events, info, surroundings)
    if failing is not None:
        return replace(
            failing,
            finding=_("{finding} (until its time limit of {limit} was over)", finding=failing.finding, limit=limit),
        )
    is_of_task = range(EventType.TASK_SCHEDULED, EventType.TASK_FAILED + 1)
    last = next((event for event in reversed(events) if event.event_type in is_of_task), None)
    if last is not None and last.event_type == EventType.TASK_SCHEDULED:
        waited = closed - proto.at(last.event_time)
        if waited >= surroundings.patience:
            return _never_taken(_("its last step"), waited, info, surroundings, limit)
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
        step = _("the activity {name}", name=pending.activity_type.name)
        due = max(proto.at(pending.scheduled_time), proto.at(pending.next_attempt_schedule_time))
        if pending.state == proto.SCHEDULED and closed - due >= surroundings.patience:
            queue = pending.activity_options.task_queue.name
            return _never_taken(step, closed - due, info, surroundings, limit, queue)
        failure = pending.last_failure if pending.HasField("last_failure") else None
        if failure is not None and not proto.timeout_type(failure) and not is_own_time_out(failure):
            return Diagnosis(
                Cause.ACTIVITY_FAILED,
                _(
                    "{step} failed {times} until the time limit of the run ({limit}) was over: {error}",
                    step=step,
                    times=times(pending.attempt - 1),
                    limit=limit,
                    error=proto.message(failure),
                ),
                (
                    _(
                        "attempt {attempt}, last worker {worker}",
                        attempt=pending.attempt,
                        worker=pending.last_worker_identity,
                    ),
                ),
                _then(fix_of_failure(failure, surroundings.worker), info),
            )
    return None


def _where_workers_are(surroundings: Surroundings, info: WorkflowExecutionInfo, own: str = "") -> tuple[str, str]:
    """For a task that nobody took: the end of the finding, where workers poll something else; and the fix.

    `own`: the queue of an activity whose workflow code may name another one than that of the workflow.
    """
    own_queue, queue = names_own_queue(info, own), own or info.task_queue
    misplaced = find_misplaced(queue, surroundings, own_queue=own_queue)
    if misplaced is None and not surroundings.is_served(queue):
        return _(" (task queue {queue})", queue=queue), _then(serve(queue, own_queue=own_queue), info)
    if misplaced is None:
        return "", _then(surroundings.around(queue).worker.how_to_start(), info)
    finding = _(
        ": it waited in {queue}, and {worker} polls {place}",
        queue=queue,
        worker=misplaced.worker.who,
        place=misplaced.place,
    )
    return finding, _then(misplaced.fix, info)


def _never_taken(
    what: str, waited: float, info: WorkflowExecutionInfo, surroundings: Surroundings, limit: str, own: str = ""
) -> Diagnosis:
    """`own`: as in `_where_workers_are`."""
    queue, time = own or info.task_queue, seconds(waited)
    finding = _(
        "no worker took {what} for {time}, until its time limit of {limit} was over", what=what, time=time, limit=limit
    )
    evidence: tuple[str, ...] = (
        _("task queue {queue}", queue=queue),
        _("{what} waited {time} for a worker", what=what, time=time),
    )
    if crowded := _overloaded(what, evidence, surroundings, info, own):
        return crowded
    alive = surroundings.alive(surroundings.namespace, queue)
    if alive:
        finding += _(" (there is a worker now)")
        evidence = (*evidence, _("now {worker} polls it", worker=alive[0].who))
        fix: str = _("start it again: {command}", command=workflow_command("retry", info))
    else:
        elsewhere, fix = _where_workers_are(surroundings, info, own)
        finding += elsewhere
    return Diagnosis(Cause.TIMED_OUT_NO_WORKER, finding, evidence, fix)


def _overloaded(
    what: str, evidence: tuple[str, ...], surroundings: Surroundings, info: WorkflowExecutionInfo, own: str
) -> Diagnosis | None:
    """If others were completed meanwhile: there were workers, and they had too much to do.

    `own`: as in `_where_workers_are`. Of another queue than the workflow's, nobody counts.
    """
    crowd = surroundings.crowd
    if crowd is None or not crowd.completed or own not in ("", info.task_queue):
        return None
    return Diagnosis(
        Cause.OVERLOADED,
        _(
            "{what} was not taken in time, because the workers were busy: {count} workflows were open before it,"
            " and {rate:.2g} were completed per second",
            what=what,
            count=crowd.before,
            rate=crowd.rate,
        ),
        (
            *evidence,
            _(
                "{count} were completed in {queue} in the {time} that it had",
                count=crowd.completed,
                queue=info.task_queue,
                time=seconds(crowd.span),
            ),
        ),
        _(
            "start fewer at once, or more workers; to start it again: {command}",
            command=workflow_command("retry", info),
        ),
    )


def _unanswered(
    events: Sequence[HistoryEvent], info: WorkflowExecutionInfo, surroundings: Surroundings, limit: str
) -> Diagnosis:
    started = next(event for event in reversed(events) if event.event_type == EventType.TASK_STARTED)
    who = started.workflow_task_started_event_attributes.identity
    before = seconds(proto.at(info.close_time) - proto.at(started.event_time))
    return Diagnosis(
        Cause.WORKER_UNRESPONSIVE,
        _(
            "worker {worker} took it and never answered (it hung, or was killed) until its {limit} were up",
            worker=who,
            limit=limit,
        ),
        (_("the workflow task was taken {time} before the end", time=before),),
        _then(surroundings.worker.how_to_restart(), info),
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
    evidence = [
        _(
            "{activity} took {time} (attempt {attempt})",
            activity=step.name,
            time=seconds(step.took),
            attempt=step.attempt,
        )
        for step in done
    ]
    evidence += [_still_running(activity, took) for took, activity in pending]
    durations = [(step.took, step.name) for step in done]
    durations += [(took, activity.activity_type.name) for took, activity in pending]
    slowest = max(durations, default=None)
    if slowest is None:
        finding = _("its {limit} were up while no activity was running: it waited for a timer or a signal", limit=limit)
    else:
        finding = _(
            "{activity} took {time} of the {limit} that the whole run had",
            activity=slowest[1],
            time=seconds(slowest[0]),
            limit=limit,
        )
    config = description.execution_config
    whole = proto.span(config.workflow_execution_timeout)
    is_whole = 0 < whole <= proto.span(config.workflow_run_timeout)  # the server makes the second one as long at most
    return Diagnosis(Cause.TIMED_OUT_SLOW, finding, tuple(evidence), _more_time(info, surroundings, is_whole=is_whole))


def _still_running(activity: PendingActivityInfo, took: float) -> Text:
    name, time, identity = activity.activity_type.name, seconds(took), activity.last_worker_identity
    if not identity:
        return _(
            "{activity} was still running after {time} (attempt {attempt}, worker none)",
            activity=name,
            time=time,
            attempt=activity.attempt,
        )
    return _(
        "{activity} was still running after {time} (attempt {attempt}, worker {worker})",
        activity=name,
        time=time,
        attempt=activity.attempt,
        worker=identity,
    )


def _more_time(
    info: WorkflowExecutionInfo, surroundings: Surroundings, other: str = "", *, is_whole: bool = False
) -> str:
    """Which variable to raise, and to what; `other` is another way to the same end.

    `is_whole`: the time of the whole execution was up, not only that of one run.
    """
    suffix = _(" ({other})", other=other) if other else ""
    run, execution = surroundings.run_timeout, surroundings.execution_timeout
    if run is None or info.task_queue != surroundings.queue:
        if is_whole:
            return _("raise its execution timeout where it is started{suffix}", suffix=suffix)
        return _("raise its run timeout where it is started{suffix}", suffix=suffix)
    more = 2 * run
    settings = f"WORKFLOW_RUN_TIMEOUT={more:g}"
    if execution is not None and execution < more:
        settings += f" WORKFLOW_EXECUTION_TIMEOUT={2 * more:g}"
    return _(
        "set {settings} in .env{suffix}, then `mika down` and `mika up -d`; then {retry}",
        settings=settings,
        suffix=suffix,
        retry=workflow_command("retry", info),
    )
