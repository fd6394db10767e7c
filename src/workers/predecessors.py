"""What a killed worker had in hand: its successor returns it to the server, which would wait for its timeout.

Only the supervisor knows that a process is gone. It numbers the starts of a worker (`NAME@RUN-NUMBER`), and never
starts one before the one before it is gone.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import structlog
from mika.diagnosis.returning import return_task, task_in_hand
from mika.diagnosis.temporal import literal
from temporalio.service import RPCError

if TYPE_CHECKING:
    from mika.diagnosis.temporal import Temporal
    from temporalio.api.common.v1 import WorkflowExecution

log = structlog.get_logger("mika.worker")

_NUMBERED = re.compile(r"(.+@.+)-(\d+)")
# Of those that were started last. One that waits for longer than these waits for its task's timeout.
_MOST = 1000
_AT_ONCE = 8


async def return_tasks(temporal: Temporal, queue: str, identity: str) -> None:
    """Return the workflow tasks that earlier starts of this worker had taken. Raises nothing: it is only faster so.

    Does nothing for a first start, or if no supervisor gave this worker its `identity`.
    """
    own = _NUMBERED.fullmatch(identity)
    if own is None or own[2] == "1":
        return
    slots = asyncio.Semaphore(_AT_ONCE)
    open_here = f"TaskQueue = {literal(queue)} AND ExecutionStatus = 'Running'"

    async def look(execution: WorkflowExecution) -> bool:
        async with slots:
            started = await task_in_hand(temporal, execution)
            if started is None:
                return False
            if not _is_earlier(started.workflow_task_started_event_attributes.identity, own):
                return False
            await return_task(temporal, namespace_id, execution, started, identity)
            return True

    try:
        namespace_id = (await temporal.describe_namespace()).namespace_info.id
        executions = [info.execution for info in await temporal.workflows(open_here, _MOST)]
    except (RPCError, RuntimeError, TimeoutError) as error:
        log.warning("tasks_not_returned", error=str(error))
        return
    results = await asyncio.gather(*map(look, executions), return_exceptions=True)
    if count := sum(result is True for result in results):
        log.info("tasks_returned", count=count)


def _is_earlier(identity: str, own: re.Match[str]) -> bool:
    other = _NUMBERED.fullmatch(identity)
    return other is not None and other[1] == own[1] and int(other[2]) < int(own[2])
