"""Time skipping: the timers of one run fire now. Experimental in the server (1.32) and in the SDK (1.35)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from mika.diagnosis import proto
from mika.diagnosis.proto import EventType

if TYPE_CHECKING:
    from temporalio.api.common.v1 import WorkflowExecution
    from temporalio.api.history.v1 import HistoryEvent
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

    from mika.diagnosis.temporal import Temporal

SETTING = "frontend.WorkflowTimeSkippingEnabled=true"
"""The dynamic configuration value of a server that allows it."""
_LIMIT = timedelta(seconds=2)
_POLL_LIMIT = timedelta(seconds=5)
_COMPLETED, _FAILED = 2, 3  # FastForwardPollingResult

Arrival = Literal["arrived", "ended", "waiting"]


async def fast_forward(temporal: Temporal, execution: WorkflowExecution, seconds: float) -> str:
    """Set the run's clock forward; returns the id of this skip.

    It moves whenever nothing but timers is waited for. Raises ImportError where this SDK has no time skipping, and
    RPCError UNIMPLEMENTED where the server has none.
    """
    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.field_mask_pb2 import FieldMask
    from temporalio.api.common.v1 import FastForwardConfig, TimeSkippingConfig
    from temporalio.api.workflow.v1 import WorkflowExecutionOptions
    from temporalio.api.workflowservice.v1 import UpdateWorkflowExecutionOptionsRequest

    duration, skip_id = Duration(), secrets.token_hex(8)
    duration.FromMilliseconds(int(1000 * seconds))
    config = TimeSkippingConfig(enabled=True, fast_forward_config=FastForwardConfig(id=skip_id, duration=duration))
    request = UpdateWorkflowExecutionOptionsRequest(
        namespace=temporal.namespace,
        workflow_execution=execution,
        workflow_execution_options=WorkflowExecutionOptions(time_skipping_config=config),
        update_mask=FieldMask(paths=["time_skipping_config"]),
        identity="mika",
    )
    service = temporal.client.workflow_service
    await service.update_workflow_execution_options(request, timeout=_LIMIT, retry=False)
    return skip_id


async def arrival(temporal: Temporal, workflow_id: str, skip_id: str) -> Arrival:
    """Whether the clock is there, or the workflow has ended before; asks for a few seconds at most."""
    from temporalio.api.common.v1 import WorkflowExecution
    from temporalio.api.workflowservice.v1 import PollWorkflowExecutionTimeSkippingRequest
    from temporalio.service import RPCError, RPCStatusCode

    request = PollWorkflowExecutionTimeSkippingRequest(
        namespace=temporal.namespace,
        workflow_execution=WorkflowExecution(workflow_id=workflow_id),  # of the latest run: it may continue as new
        fast_forward_id=skip_id,
    )
    service = temporal.client.workflow_service
    try:
        answer = await service.poll_workflow_execution_time_skipping(request, timeout=_POLL_LIMIT, retry=False)
    except RPCError as error:
        if error.status in (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED):
            return "waiting"
        raise
    if answer.fast_forward_polling_result == _COMPLETED:
        return "arrived"
    return "ended" if answer.fast_forward_polling_result == _FAILED else "waiting"


def clock(description: DescribeWorkflowExecutionResponse, now: float) -> float:
    """The time of the run in seconds since the epoch: ahead of `now` once time was skipped, as are its events."""
    info = getattr(description.workflow_extended_info, "time_skipping_info", None)  # the SDK has it since 1.35
    return max(now, proto.at(info.current_time)) if info is not None else now


@dataclass(slots=True)
class Timer:
    """A timer of a run. `lasts` in seconds, `due` in seconds since the epoch, on the run's own clock."""

    id: str
    lasts: float
    due: float


@dataclass(slots=True)
class Happened:
    """What a part of a history shows. `pending` are the timers that have neither fired nor been cancelled."""

    fired: list[Timer] = field(default_factory=list)
    activities: list[str] = field(default_factory=list)
    pending: list[Timer] = field(default_factory=list)


def happened(events: Sequence[HistoryEvent], after: int) -> Happened:
    """The timers that fired and the types of the activities that completed after the event with the id `after`."""
    found, timers, types = Happened(), dict[str, Timer](), dict[int, str]()
    for event in events:
        match event.event_type:
            case EventType.ACTIVITY_SCHEDULED:
                types[event.event_id] = event.activity_task_scheduled_event_attributes.activity_type.name
            case EventType.ACTIVITY_COMPLETED if event.event_id > after:
                completed = event.activity_task_completed_event_attributes
                found.activities.append(types.get(completed.scheduled_event_id, "?"))
            case EventType.TIMER_STARTED:
                started = event.timer_started_event_attributes
                lasts = proto.span(started.start_to_fire_timeout)
                timers[started.timer_id] = Timer(started.timer_id, lasts, proto.at(event.event_time) + lasts)
            case EventType.TIMER_FIRED:
                timer = timers.pop(event.timer_fired_event_attributes.timer_id, None)
                if timer is not None and event.event_id > after:
                    found.fired.append(timer)
            case EventType.TIMER_CANCELED:
                timers.pop(event.timer_canceled_event_attributes.timer_id, None)
    found.pending = sorted(timers.values(), key=lambda timer: timer.due)
    return found
