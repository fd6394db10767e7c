"""A workflow task that died with its worker goes to another worker now, and not after the task's timeout.

The server has no request for that. But whoever has a task may say that it has failed, and the token that names the
task there is made of what the server shows to everybody (temporal/server/api/token/v1/message.proto). A server that
does not know such a token refuses it, and then nothing has changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from mika.diagnosis import proto
from mika.diagnosis.proto import EventType

if TYPE_CHECKING:
    from temporalio.api.common.v1 import WorkflowExecution
    from temporalio.api.history.v1 import HistoryEvent

    from mika.diagnosis.temporal import Temporal

_LIMIT = timedelta(seconds=2)
_FIRST_ATTEMPT = 1
"""Of a later one, the history says neither that somebody took it nor who."""


async def task_in_hand(temporal: Temporal, execution: WorkflowExecution) -> HistoryEvent | None:
    """The WorkflowTaskStarted event of a task that some worker has now; None if there is none, or none is shown."""
    events = await temporal.newest_events(execution, most=1)
    return events[0] if events and events[0].event_type == EventType.TASK_STARTED else None


async def return_task(
    temporal: Temporal, namespace_id: str, execution: WorkflowExecution, started: HistoryEvent, identity: str
) -> None:
    """Say that the task of `started` has failed, in the name of its worker, whose process must be gone.

    Raises RPCError NOT_FOUND if that worker has answered meanwhile.
    """
    from temporalio.api.failure.v1 import Failure
    from temporalio.api.workflowservice.v1 import RespondWorkflowTaskFailedRequest

    attributes = started.workflow_task_started_event_attributes
    request = RespondWorkflowTaskFailedRequest(
        namespace=temporal.namespace,
        task_token=_token(namespace_id, execution, started),
        cause=proto.RESET_STICKY,  # type: ignore[arg-type]  # the stub wants the enum's own wrapper
        failure=Failure(message=f"the process of worker {attributes.identity} is gone", source=identity),
        identity=identity,
    )
    await temporal.client.workflow_service.respond_workflow_task_failed(request, timeout=_LIMIT, retry=False)


def _token(namespace_id: str, execution: WorkflowExecution, started: HistoryEvent) -> bytes:
    """A `Task` of that file. The SDK has no class for it."""
    fields: dict[int, str | int] = {
        1: namespace_id,
        2: execution.workflow_id,
        3: execution.run_id,
        4: started.workflow_task_started_event_attributes.scheduled_event_id,
        5: _FIRST_ATTEMPT,
        10: started.event_id,
        11: started.version,
    }
    return bytes(byte for number, value in fields.items() for byte in _field(number, value))


def _field(number: int, value: str | int) -> Iterator[int]:
    """A field in the wire format of protocol buffers."""
    if isinstance(value, int):
        yield from (*_varint(number << 3), *_varint(value))
    else:
        text = value.encode()
        yield from (*_varint(number << 3 | 2), *_varint(len(text)), *text)


def _varint(value: int) -> Iterator[int]:
    """Seven bits at a time, the lowest ones first."""
    value &= (1 << 64) - 1
    while value > 127:
        yield value & 127 | 128
        value >>= 7
    yield value
