"""What a real worker does with open runs when something happens to them, and after a reset."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from mika.replay.lines import Misfit
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import WorkflowTaskFailedCause
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowHandle

from tests.kit.machine import DEADLINE
from tests.kit.replay.opened import growing
from tests.kit.runs import Running

Handle = WorkflowHandle[Any, Any]


async def ask(runs: Mapping[str, Handle], histories: Mapping[str, Sequence[Any]], worker: Running) -> dict[str, str]:
    """Send each run a signal that it does not know: why its next workflow task fails; empty if it is completed."""
    for run in runs.values():
        await run.signal("wake")
    answers = {}
    for kind, run in runs.items():
        answers[kind] = await _next_task(run, len(histories[kind]), worker.output)
    return answers


async def goes_on_after(client: Client, misfit: Misfit, event_id: int) -> bool:
    """Whether the workflow task that a reset to `event_id` makes is completed."""
    request = ResetWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=misfit.id, run_id=misfit.run_id),
        reason="to see whether it goes on",
        workflow_task_finish_event_id=event_id,
        request_id=f"{misfit.run_id}-{event_id}",
    )
    answer = await client.workflow_service.reset_workflow_execution(request)
    run = client.get_workflow_handle(misfit.id, run_id=answer.run_id)
    return not await _next_task(run, event_id, lambda: "after a reset")


def next_task(events: Sequence[Any], event_id: int) -> int | None:
    """The completed workflow task after the one with this id."""
    later = (e.event_id for e in events if e.HasField("workflow_task_completed_event_attributes"))
    return next((each for each in later if each > event_id), None)


async def _next_task(run: Handle, seen: int, output: Any) -> str:
    """Why the first workflow task after `seen` events failed; empty if it was completed."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DEADLINE):
            async for events in growing(run):
                for event in events[seen:]:
                    if event.HasField("workflow_task_completed_event_attributes"):
                        return ""
                    if event.HasField("workflow_task_failed_event_attributes"):
                        failed = event.workflow_task_failed_event_attributes
                        if failed.cause != WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW:
                            return f"{failed.cause} {failed.failure.message}"
    raise AssertionError(f"{run.id}: no workflow task; {output()}")
