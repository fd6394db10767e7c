"""A worker exited with a task in its hands: nobody is at work, and the server has not noticed yet.

Whether it was killed, has crashed or was restarted, nobody can tell from here: its process is gone.

It waits for the timeout of the task, then gives it to whoever polls. So another worker is needed, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mika.diagnosis import proto
from mika.diagnosis.model import Cause, Diagnosis, Surroundings, seconds
from mika.diagnosis.proto import EventType
from mika.diagnosis.versions import of_another_version, of_other_versions
from mika.wording import _

if TYPE_CHECKING:
    from temporalio.api.history.v1 import HistoryEvent
    from temporalio.api.workflow.v1 import PendingActivityInfo, WorkflowExecutionInfo
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

_STICKY = 10.0
"""Seconds until a step goes to any worker: the default of the SDKs (a history does not say it)."""


def lost_activity(
    pending: PendingActivityInfo, description: DescribeWorkflowExecutionResponse, surroundings: Surroundings, now: float
) -> Diagnosis:
    """For an activity that was taken by a worker whose process is gone. `now`: the server's time."""
    step, options = _("the activity {name}", name=pending.activity_type.name), pending.activity_options
    started, beat = proto.at(pending.last_started_time), proto.span(options.heartbeat_timeout)
    limits: dict[str, tuple[float, float]] = {
        _("heartbeat timeout"): (max(started, proto.at(pending.last_heartbeat_time)), beat),
        _("start-to-close timeout"): (started, proto.span(options.start_to_close_timeout)),
    }
    ends = {name: since + limit for name, (since, limit) in limits.items() if limit}
    which = min(ends, key=lambda name: ends[name], default="")
    noticed, left = ends.get(which, 0.0), proto.at(pending.expiration_time)
    is_last = pending.maximum_attempts and pending.attempt >= pending.maximum_attempts
    is_last = is_last or pending.state == proto.CANCEL_REQUESTED
    fails = bool(is_last or (left and which and left <= noticed))
    if which:
        when, limit = seconds(max(0.0, noticed - now)), seconds(limits[which][1])
        then = (
            _("this was its last attempt: it fails in {time} ({which} of {limit})", time=when, which=which, limit=limit)
            if fails
            else _("the server gives it out again in {time} ({which} of {limit})", time=when, which=which, limit=limit)
        )
    else:
        then = _("this was its last attempt: it fails") if fails else _("the server gives it out again")
    return _lost(
        _("{step}: its worker {worker} has exited", step=step, worker=pending.last_worker_identity),
        then,
        _("wait for it")
        if beat
        else _("wait for it; a heartbeat_timeout, with activity.heartbeat() in the activity, would shorten that"),
        (
            _(
                "{step} was taken {time} ago, attempt {attempt}",
                step=step,
                time=seconds(now - started),
                attempt=pending.attempt,
            ),
        ),
        options.task_queue.name,
        description.workflow_execution_info,
        surroundings,
    )


def lost_task(
    identity: str, elapsed: float, description: DescribeWorkflowExecutionResponse, surroundings: Surroundings
) -> Diagnosis:
    """For a workflow task that was taken `elapsed` seconds ago by a worker whose process is gone."""
    limit = proto.span(description.execution_config.default_workflow_task_timeout)
    then = _("the server gives it out again")
    if limit:
        then = _(
            "the server gives it out again in {time} ({which} of {limit})",
            time=seconds(max(0.0, limit - elapsed)),
            which=_("workflow task timeout"),
            limit=seconds(limit),
        )
    return _lost(
        _(
            "worker {worker} took its workflow task {time} ago, and exited without an answer",
            worker=identity,
            time=seconds(elapsed),
        ),
        then,
        _("wait for it; a shorter task_timeout where the workflow is started would shorten that"),
        (_("worker {worker}: its process is gone", worker=identity),),
        "",
        description.workflow_execution_info,
        surroundings,
    )


def lost_cache(
    elapsed: float,
    events: Sequence[HistoryEvent],
    description: DescribeWorkflowExecutionResponse,
    surroundings: Surroundings,
) -> Diagnosis | None:
    """If the next step waits for the worker that has the workflow in its cache, and that one is gone."""
    scheduled = next((event for event in reversed(events) if event.event_type == EventType.TASK_SCHEDULED), None)
    completed = next((event for event in reversed(events) if event.event_type == EventType.TASK_COMPLETED), None)
    if scheduled is None or completed is None:
        return None
    task = scheduled.workflow_task_scheduled_event_attributes
    identity = completed.workflow_task_completed_event_attributes.identity
    is_waiting = task.task_queue.kind == proto.STICKY and elapsed < _STICKY
    if not is_waiting or surroundings.state_of(identity) != "gone":
        return None
    return _lost(
        _(
            "its next step waits for worker {worker}, which had it in its cache, and has exited",
            worker=identity,
        ),
        _("any other worker gets it within {time}", time=seconds(max(0.0, _STICKY - elapsed))),
        _("wait for it"),
        (_("worker {worker}: its process is gone", worker=identity),),
        "",
        description.workflow_execution_info,
        surroundings,
    )


def _lost(
    what: str,
    then: str,
    wait: str,
    evidence: tuple[str, ...],
    own: str,
    info: WorkflowExecutionInfo,
    surroundings: Surroundings,
) -> Diagnosis:
    """`own`: the queue of an activity, which may be another one than that of the workflow."""
    queue = own or info.task_queue
    surroundings = surroundings.around(queue)
    if queue == info.task_queue and (others := of_other_versions(info, queue, surroundings)):
        return of_another_version(_("{what}; {then}", what=what, then=then), evidence, others[0], info, surroundings)
    if alive := surroundings.alive(surroundings.namespace, queue):
        evidence = (*evidence, _("now {worker} polls {queue}", worker=alive[0].who, queue=queue))
        return Diagnosis(Cause.WORKER_KILLED, _("{what}; {then}", what=what, then=then), evidence, wait)
    worker = surroundings.worker
    nobody = (surroundings.is_served(queue) and worker.down) or _("no worker polls {queue}", queue=queue)
    finding = _("{what}, and now {nobody}", what=what, nobody=nobody)
    if not surroundings.is_served(queue):
        return Diagnosis(Cause.NO_WORKER, finding, evidence, _("start a worker that polls {queue}", queue=queue), queue)
    return Diagnosis(Cause.NO_WORKER, finding, evidence, worker.how_to_start(), queue)
