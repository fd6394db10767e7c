"""What is stored at the end: the history file, and Temporal's own history."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections import Counter, defaultdict
from dataclasses import dataclass

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus

from src.messages import SAVE_TURN, WORKFLOW
from tests.chaos.options import PATIENCE
from tests.kit.bot import Bot


@dataclass
class Books:
    """What is stored, by message text and by workflow id."""

    turns: dict[str, list[tuple[str, str]]]  # message -> (workflow id, reply)
    runs: dict[str, list[WorkflowExecutionStatus]]
    saves: dict[str, int]


def read_books(bot: Bot) -> Books:
    runs, saves = asyncio.run(_temporal(bot))
    turns: dict[str, list[tuple[str, str]]] = defaultdict(list)
    file = bot.folder / ".mika" / "data" / "history.sqlite3"
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        for workflow_id, message, reply in database.execute("SELECT workflow_id, message, reply FROM turns"):
            turns[message].append((workflow_id, reply))
    return Books(turns, runs, saves)


async def _temporal(bot: Bot) -> tuple[dict[str, list[WorkflowExecutionStatus]], dict[str, int]]:
    """All runs, when none is running any more, and how often each stored its turn."""
    client = await Client.connect(f"127.0.0.1:{bot.ports['TEMPORAL_PORT']}")
    deadline = time.monotonic() + PATIENCE
    query = f"WorkflowType = '{WORKFLOW}'"
    while await _running(client, query):
        if time.monotonic() >= deadline:
            break  # the books show it as lost
        await asyncio.sleep(0.5)
    runs: dict[str, list[WorkflowExecutionStatus]] = defaultdict(list)
    saves: dict[str, int] = Counter()
    slots = asyncio.Semaphore(8)

    async def count(workflow_id: str, run_id: str) -> None:
        async with slots:
            history = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        scheduled = {
            event.event_id
            for event in history.events
            if event.activity_task_scheduled_event_attributes.activity_type.name == SAVE_TURN
        }
        saves[workflow_id] += sum(
            event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
            and event.activity_task_completed_event_attributes.scheduled_event_id in scheduled
            for event in history.events
        )

    async with asyncio.TaskGroup() as group:
        async for found in client.list_workflows(query):
            if found.status is not None:
                runs[found.id].append(found.status)
            group.create_task(count(found.id, found.run_id))
    return runs, saves


async def _running(client: Client, query: str) -> int:
    return (await client.count_workflows(f"{query} AND ExecutionStatus = 'Running'")).count
