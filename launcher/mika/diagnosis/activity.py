"""An activity that is pending: who has it, and whether that is normal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mika.diagnosis import proto
from mika.diagnosis.commands import temporal, unpause_activity
from mika.diagnosis.fixes import fix_of_failure, is_hung, no_heartbeat, times
from mika.diagnosis.lost import lost_activity
from mika.diagnosis.model import Cause, Diagnosis, Surroundings, WorkerCommands, seconds
from mika.diagnosis.untaken import untaken
from mika.wording import _

if TYPE_CHECKING:
    from temporalio.api.failure.v1 import Failure
    from temporalio.api.workflow.v1 import PendingActivityInfo
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

GIVE_UP_ATTEMPT = 3
"""What failed twice fails for a reason; a single failure may be a worker that was being replaced."""


def with_activity(
    pending: PendingActivityInfo,
    description: DescribeWorkflowExecutionResponse,
    surroundings: Surroundings,
    now: float,
    elapsed: float,
) -> Diagnosis:
    """`elapsed`: seconds since it was taken, or was due for a worker. `now`: the server's time."""
    info, taken = description.workflow_execution_info, proto.is_taken(pending.state)
    step = _("the activity {name}", name=pending.activity_type.name)
    failure = pending.last_failure if pending.HasField("last_failure") else None
    identity = pending.last_worker_identity
    state = surroundings.state_of(identity)
    # The server lets no timeout of a paused activity pass: one that a killed worker had stays with it.
    if pending.state == proto.PAUSED or (pending.state == proto.PAUSE_REQUESTED and state == "gone"):
        return _paused(step, pending, description, surroundings)
    if not taken and elapsed >= surroundings.patience:
        return untaken(step, elapsed, info, surroundings, queue=pending.activity_options.task_queue.name)
    is_lost = failure is not None and proto.timeout_type(failure) == proto.HEARTBEAT
    if is_lost and pending.attempt > GIVE_UP_ATTEMPT and is_hung(identity, surroundings):
        return Diagnosis(
            Cause.WORKER_UNRESPONSIVE,
            _(
                "{step} was taken {times}, and each time its worker stopped sending heartbeats",
                step=step,
                times=times(pending.attempt - 1),
            ),
            (_("last worker: {worker}", worker=identity),),
            surroundings.worker.how_to_restart(),
        )
    if taken and state == "gone":
        return lost_activity(pending, description, surroundings, now)
    if taken and state == "stopped":
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
    return Diagnosis(Cause.RUNNING, _doing(step, taken, elapsed, pending), _asked_to_end(pending, now))


def _paused(
    step: str, pending: PendingActivityInfo, description: DescribeWorkflowExecutionResponse, surroundings: Surroundings
) -> Diagnosis:
    """For one that nobody gets until somebody lets it go on."""
    evidence = _who_paused(pending)
    if pending.HasField("last_failure"):
        error = proto.message(pending.last_failure)
        evidence += (_("attempt {attempt} is next; last failure: {error}", attempt=pending.attempt, error=error),)
    if pending.state == proto.PAUSE_REQUESTED:
        evidence += (_("worker {worker} had it: its process is gone", worker=pending.last_worker_identity),)
    info = description.workflow_execution_info
    unpause = unpause_activity(info.execution.workflow_id, pending.activity_id, surroundings.namespace)
    fix = _("{command} lets it go on", command=temporal(unpause, surroundings.address))
    return Diagnosis(Cause.ACTIVITY_PAUSED, _("{step} is paused", step=step), evidence, fix)


def _who_paused(pending: PendingActivityInfo) -> tuple[str, ...]:
    by = pending.pause_info.manual
    if not by.identity:
        return ()
    if by.reason:
        return (_("{who} paused it: {why}", who=by.identity, why=by.reason),)
    return (_("{who} paused it", who=by.identity),)


def _asked_to_end(pending: PendingActivityInfo, now: float) -> tuple[str, ...]:
    """The evidence, for one that is at work."""
    if pending.state == proto.CANCEL_REQUESTED:
        asked = _("it has been asked to cancel: its worker learns of that when it sends a heartbeat")
    elif pending.state == proto.PAUSE_REQUESTED:
        asked = _("it has been asked to pause: its worker learns of that when it sends a heartbeat")
    else:
        return ()
    beat = proto.at(pending.last_heartbeat_time)
    last = _("last heartbeat {time} ago", time=seconds(max(0.0, now - beat))) if beat else _("no heartbeat so far")
    return (asked, *_who_paused(pending), last)


def _doing(step: str, taken: bool, elapsed: float, pending: PendingActivityInfo) -> str:
    time, budget = seconds(elapsed), proto.span(pending.activity_options.start_to_close_timeout)
    if pending.state == proto.CANCEL_REQUESTED:
        return _("{step} has been asked to cancel, and has been running for {time}", step=step, time=time)
    if pending.state == proto.PAUSE_REQUESTED:
        return _("{step} has been asked to pause, and has been running for {time}", step=step, time=time)
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
    if proto.is_taken(pending.state):  # a restart would interrupt it
        fix = _("wait for the attempt that is under way; if that fails, too: {fix}", fix=fix)
    finding: str = _(
        "{step} failed {times} and is being retried: {error}",
        step=step,
        times=times(pending.attempt - 1),
        error=proto.message(failure),
    )
    if proto.timeout_type(failure) == proto.HEARTBEAT:
        beat = proto.span(pending.activity_options.heartbeat_timeout)
        finding = no_heartbeat(step, pending.attempt - 1, beat)
    return Diagnosis(
        Cause.ACTIVITY_RETRYING,
        finding,
        (
            _("{attempt} starts in {time}", attempt=attempt, time=seconds(due))
            if due > 0
            else _("{attempt} is under way", attempt=attempt),
            _("last worker: {worker}", worker=identity) if identity else _("last worker: unknown"),
            *_asked_to_end(pending, now),
        ),
        fix,
    )
