"""The one classification: what a description and a history say about a workflow."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mika.diagnosis import proto
from mika.diagnosis.closed import failed, timed_out
from mika.diagnosis.model import Cause, Diagnosis, Surroundings, seconds, workflow_command
from mika.diagnosis.proto import EventType
from mika.diagnosis.running import running
from mika.wording import _

if TYPE_CHECKING:
    from temporalio.api.history.v1 import HistoryEvent
    from temporalio.api.workflow.v1 import WorkflowExecutionInfo
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse


def classify(
    description: DescribeWorkflowExecutionResponse,
    events: Sequence[HistoryEvent] = (),
    surroundings: Surroundings | None = None,
    *,
    now: float | None = None,
    waited: float | None = None,
) -> Diagnosis:
    """Judge a DescribeWorkflowExecutionResponse and the HistoryEvents (in order; the newest ones will do).

    `now` is the server's time in seconds since the epoch. `waited` replaces what its clock says about how long the
    pending task has been as it is.
    """
    info = description.workflow_execution_info
    surroundings = (surroundings or Surroundings()).around(info.task_queue)
    took = seconds(proto.at(info.close_time) - proto.at(info.start_time))
    match info.status:
        case proto.RUNNING:
            return running(description, events, surroundings, time.time() if now is None else now, waited)
        case proto.COMPLETED | proto.CONTINUED_AS_NEW:
            return ended_well(info)
        case proto.FAILED:
            return failed(events, surroundings, info)
        case proto.TIMED_OUT:
            return timed_out(description, events, surroundings)
        case proto.CANCELED:
            return Diagnosis(Cause.CANCELED, _("it was canceled after {took}", took=took), (), _start_again(info))
        case _:
            return Diagnosis(Cause.TERMINATED, _terminated(events, took), (), _start_again(info))


def ended_well(info: WorkflowExecutionInfo) -> Diagnosis:
    """Of a workflow that has completed, a list says all."""
    took = seconds(proto.at(info.close_time) - proto.at(info.start_time))
    return Diagnosis(Cause.HEALTHY, _("it completed after {took}", took=took))


def _start_again(info: WorkflowExecutionInfo) -> str:
    return _("nothing to fix; to start it again: {command}", command=workflow_command("retry", info))


def _terminated(events: Sequence[HistoryEvent], took: str) -> str:
    last = events[-1] if events else None
    who: str = _("somebody")
    why = ""
    if last is not None and last.event_type == EventType.EXECUTION_TERMINATED:
        attributes = last.workflow_execution_terminated_event_attributes
        who, why = attributes.identity or who, attributes.reason
    if why:
        return _("it was terminated by {who} after {took}: {why}", who=who, took=took, why=why)
    return _("it was terminated by {who} after {took}", who=who, took=took)
