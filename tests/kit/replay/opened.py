"""Open runs of the workflows in `bed/`, each at the point where it waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetStickyTaskQueueRequest
from temporalio.client import Client, WorkflowHandle

from tests.kit.machine import DEADLINE


@dataclass(frozen=True)
class Kind:
    """`type` is what is started; `waits_for` the step that stays pending, if it is not a timer."""

    type: str
    given: object = "box"
    waits_for: str = "timer"


KINDS = {
    kind.type: kind
    for kind in (
        Kind("Parcel"),
        Kind("Stranded", waits_for="ferry"),
        Kind("Deferred"),
        Kind("Routed"),
        Kind("Desk", waits_for="signals"),
        Kind("Onsite"),
        Kind("Consignment"),
        Kind("Rounds", given=1),
        Kind("Patched"),
        Kind("Deprecating"),
        Kind("Unboxed"),
        Kind("Lottery"),
        Kind("Convoy"),
        Kind("Unheard"),
        Kind("Stubborn", waits_for="unwritten"),
    )
}
_AT_ONCE = 16


def workflow_id(queue: str, kind: str) -> str:
    return f"{queue}-{kind}"


async def open_runs(client: Client, wanted: Iterable[tuple[str, str]], copies: int = 1) -> None:
    """Start a run for each (queue, type), and return when each waits; a worker must poll the queues."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(queue: str, kind: Kind, copy: int) -> None:
        async with gate:
            name = workflow_id(queue, kind.type) if copies == 1 else f"{queue}-{copy}-{kind.type}"
            handle = await client.start_workflow(kind.type, kind.given, id=name, task_queue=queue)
            if kind.waits_for == "signals":
                for note in ("a", "b", "c"):
                    await handle.signal("ring", note)
                await handle.execute_update("ask", "d")
            latest = client.get_workflow_handle(handle.id)  # of the last run, when it has continued as new
            async with asyncio.timeout(2 * DEADLINE):  # many at once
                async for events in growing(latest):
                    if is_waiting(events, kind.waits_for):
                        return

    await asyncio.gather(*(one(queue, KINDS[kind], copy) for queue, kind in wanted for copy in range(copies)))


async def forget_worker(client: Client, runs: Iterable[str]) -> None:
    """The next tasks go to any worker: else, for seconds, they wait for the one that had the runs in its cache."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(run: str) -> None:
        async with gate:
            request = ResetStickyTaskQueueRequest(
                namespace=client.namespace, execution=WorkflowExecution(workflow_id=run)
            )
            await client.workflow_service.reset_sticky_task_queue(request)

    await asyncio.gather(*map(one, runs))


async def events_of(handle: WorkflowHandle[Any, Any]) -> Sequence[Any]:
    return (await handle.fetch_history()).events


async def growing(handle: WorkflowHandle[Any, Any]) -> AsyncIterator[Sequence[Any]]:
    """All events that there are, and again as soon as there are more; for ever."""
    while True:  # again from the beginning for a run that has continued as new
        events, pages = list[Any](), handle.fetch_history_events(wait_new_event=True)
        while pages.current_page is None or pages.next_page_token is not None:
            await pages.fetch_next_page()
            events += pages.current_page or ()
            yield events


def is_waiting(events: Sequence[Any], waits_for: str) -> bool:
    """Whether the run has got to where it waits: only `waits_for` is pending."""
    names = [event.WhichOneof("attributes").removesuffix("_event_attributes") for event in events]
    if names[-1] in ("workflow_task_scheduled", "workflow_task_started", "workflow_execution_started"):
        return False
    pending = set(_scheduled(events)) - set(_closed(events))
    match waits_for:
        case "timer":
            return not pending and "timer_started" in names
        case "signals":
            return not pending and names.count("activity_task_completed") == 4
        case step:
            return {_scheduled(events)[event_id] for event_id in pending} == {step}


def _scheduled(events: Sequence[Any]) -> dict[int, str]:
    return {
        event.event_id: event.activity_task_scheduled_event_attributes.activity_type.name
        for event in events
        if event.HasField("activity_task_scheduled_event_attributes")
    }


def _closed(events: Sequence[Any]) -> Collection[int]:
    return [
        event.activity_task_completed_event_attributes.scheduled_event_id
        for event in events
        if event.HasField("activity_task_completed_event_attributes")
    ]
