"""The histories to replay: of the open runs of a worker's queue and of the last closed ones, or recorded ones."""

from __future__ import annotations

import asyncio
import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .locating import step_name, was_stuck
from .report import ORDER, remaining, say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from temporalio.client import WorkflowHistory

_AT_ONCE = 6
_MISSED = object()
_FETCH_SECONDS = 10.0
_EXAMPLES = 3


@dataclass
class Run:
    """One run with its history. `status` is the name of its WorkflowExecutionStatus."""

    id: str
    run_id: str
    type: str
    status: str
    history: WorkflowHistory

    @property
    def events(self) -> Sequence[Any]:
        return self.history.events


@dataclass
class Loaded:
    """`unknown` are the open (or recorded) runs of types that the worker lacks: type → [number, the id of one].

    Not those that were stuck before.
    """

    runs: list[Run]
    unknown: dict[str, list[Any]]
    more_open: bool = False
    """There are more open runs than were listed."""
    missed: int = 0
    """Runs that there was no time to read."""


async def load(worker: Any, types: set[str]) -> Loaded:
    """Those that this order is about, for one worker."""
    if ORDER.get("histories"):
        return _recorded(types)
    loaded = Loaded([], {})
    wanted, unknown = [], dict[str, list[Any]]()
    async for run in _listed(worker, loaded):
        if run.workflow_type in types or "*" in types:
            wanted.append(run)
        elif run.status is not None and run.status.name == "RUNNING":
            unknown.setdefault(run.workflow_type, []).append(run)
    gate = asyncio.Semaphore(_AT_ONCE)
    fetched = await asyncio.gather(*(_fetch(worker.client, run, gate) for run in wanted))
    loaded.runs = [run for run in fetched if isinstance(run, Run)]
    loaded.missed = sum(run is _MISSED for run in fetched)
    for name, runs in unknown.items():
        if not await _are_stuck(worker.client, runs, gate):
            loaded.unknown[name] = [len(runs), runs[0].id]
    return loaded


async def _are_stuck(client: Any, runs: list[Any], gate: asyncio.Semaphore) -> bool:
    """Whether the code that runs now does not have their type either, as far as the newest of them show."""
    fetched = await asyncio.gather(*(_fetch(client, run, gate) for run in runs[:_EXAMPLES]))
    return all(isinstance(run, Run) and was_stuck(run.events) for run in fetched)


async def _listed(worker: Any, loaded: Loaded) -> AsyncIterator[Any]:
    """The executions: those that the order names, or all open ones and the last closed ones, up to the limits."""
    if ORDER.get("only"):
        for workflow_id, run_id in ORDER["only"]:
            description = await worker.client.get_workflow_handle(workflow_id, run_id=run_id or None).describe()
            if description.task_queue == worker.task_queue:
                yield description
        return
    of_queue = _of_queue(worker.task_queue)
    for condition, most in (("=", ORDER["open"]), ("!=", ORDER["closed"])):
        count = 0
        if most == 0:
            continue
        query = f'{of_queue}ExecutionStatus{condition}"Running"'
        async for run in worker.client.list_workflows(query, page_size=min(1000, most + 1)):
            if run.task_queue != worker.task_queue:
                continue
            count += 1
            if count > most:
                loaded.more_open = loaded.more_open or condition == "="
                break
            yield run


def _of_queue(name: str) -> str:
    """A condition of a query. With SQLite, the server finds no name that has a quote or a backslash, escaped or not."""
    plain = re.split(r'["\\]', name)[0]
    if plain == name:
        return f'TaskQueue="{name}" AND '
    return f'TaskQueue STARTS_WITH "{plain}" AND ' if plain else ""


async def _fetch(client: Any, run: Any, gate: asyncio.Semaphore) -> Run | object | None:
    """None if it cannot be had, for example because it was deleted meanwhile; `_MISSED` if there is no time."""
    async with gate:
        try:
            handle = client.get_workflow_handle(run.id, run_id=run.run_id)
            # Not asyncio.timeout(): the program may run on Python 3.10.
            limit = min(_FETCH_SECONDS, remaining())
            history = await asyncio.wait_for(handle.fetch_history(), limit)  # noqa: TID251
        except (TimeoutError, asyncio.TimeoutError):  # noqa: UP041 - two of them in Python 3.10
            return _MISSED
        except Exception as error:  # noqa: BLE001 - also what a codec of the program raises
            say("unread", id=run.id, type=run.workflow_type, text=str(error)[:300] or type(error).__name__)
            return None
    status = run.status.name if run.status is not None else ""
    return Run(run.id, run.run_id, run.workflow_type, status, history)


def _recorded(types: set[str]) -> Loaded:
    """Read the files of the order. Those of types that this worker does not have may be another worker's."""
    from temporalio.client import WorkflowHistory

    loaded = Loaded([], {})
    for path in ORDER["histories"]:
        try:
            with open(path, encoding="utf-8") as file:
                content = json.load(file)
            name = os.path.basename(path).removesuffix(".json")
            history = WorkflowHistory.from_json(name, content)
            started = history.events[0].workflow_execution_started_event_attributes
            if started.workflow_id:  # older servers do not write it down; a file may have any name
                history = WorkflowHistory(started.workflow_id, history.events)
            run = Run(name, history.run_id, started.workflow_type.name, "RECORDED", history)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a file
            say("unread", id=path, type="", text=f"{type(error).__name__}: {error}"[:300])
            continue
        if run.type in types or "*" in types:
            loaded.runs.append(run)
        else:
            loaded.unknown.setdefault(run.type, [0, run.id])[0] += 1
    return loaded


def is_fresh(events: Sequence[Any]) -> bool:
    """No workflow task has been completed: nothing can contradict the code, and the SDK's Replayer would hang."""
    return not any(event.HasField("workflow_task_completed_event_attributes") for event in events)


def shape(run: Run) -> int:
    """The same for two runs that took the same steps, whatever their data."""
    return hash((run.type, *((event.event_type, step_name(event)) for event in run.events)))


def in_order(runs: list[Run]) -> list[tuple[int, Run]]:
    """One run of each shape first, then a second one of each …: what a change breaks shows after a few.

    With each run comes its number within its shape. Short histories come first.
    """
    seen: dict[int, int] = {}
    numbered = []
    for run in runs:
        key = shape(run)
        seen[key] = seen.get(key, 0) + 1
        numbered.append((seen[key], run))
    return sorted(numbered, key=lambda item: (item[0], len(item[1].events)))
