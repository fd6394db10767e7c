"""Workflow tasks that nobody has in hand any more, though the server thinks so."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from temporalio.api.enums.v1 import EventType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import PollWorkflowTaskQueueRequest
from temporalio.client import Client

from tests.kit.machine import poll_until

# The last step, which is part of a workflow task, takes until the file is gone; no timeout of its own ends it.
_HELD = """
import asyncio, datetime, functools, sys
from pathlib import Path
import src.workers.temporal_worker as worker
import src.workflows.message_workflow as workflow
from src.history.sqlite import SqliteHistory
from temporalio.worker import UnsandboxedWorkflowRunner

save = SqliteHistory.save

async def held(self, *args):
    while Path("hold").exists():
        await asyncio.sleep(0.05)
    await save(self, *args)

SqliteHistory.save = held
workflow._share = lambda *_, **__: datetime.timedelta(minutes=1)
worker.Worker = functools.partial(worker.Worker, workflow_runner=UnsandboxedWorkflowRunner())
sys.exit(worker.main())
"""
_PROMISED = 3.0  # s; without that, it would be WORKFLOW_TASK_TIMEOUT
_STARTED = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED


def histories(bot):
    """The events of each message."""

    async def read():
        client = await Client.connect(f"127.0.0.1:{bot.temporal_port}")
        found = client.list_workflows(f"TaskQueue = '{bot.queue}' AND ExecutionStatus = 'Running'")
        return {run.id: (await client.get_workflow_handle(run.id).fetch_history()).events async for run in found}

    return asyncio.run(read())


def in_hand(bot):
    """Which worker has the task of each message."""
    return {
        workflow_id: events[-1].workflow_task_started_event_attributes.identity
        for workflow_id, events in histories(bot).items()
        if events[-1].event_type == _STARTED
    }


def test_what_a_killed_worker_had_in_hand_goes_on_with_its_successor(idle_bot):
    bot, hold = idle_bot, idle_bot.folder / "hold"
    hold.touch()
    with ThreadPoolExecutor(4) as threads:
        killed = bot.start("worker", "-c", _HELD, MIKA_WORKER_IDENTITY="worker@run-1")
        killed.wait_for("worker_started")
        for _ in range(4):
            threads.submit(bot.post)
        poll_until(lambda: len(in_hand(bot)) == 4, 30, "four tasks in hand", step=0.3)
        lost = set(in_hand(bot))
        killed.kill()
        hold.unlink()

        successor = bot.start_worker(MIKA_WORKER_IDENTITY="worker@run-2")
        began = time.monotonic()
        assert {bot.completed(workflow_id)["status"] for workflow_id in lost} == {"completed"}
        assert time.monotonic() - began <= _PROMISED

        lines = [json.loads(line) for line in successor.output().splitlines()]
        assert [line["count"] for line in lines if line["event"] == "tasks_returned"] == [4]
        assert len(bot.turns()) == 4


async def take_and_lose(bot):
    """Poll as a worker does, and lose the answer; returns the message's workflow id."""
    client = await Client.connect(f"127.0.0.1:{bot.temporal_port}")
    queue = TaskQueue(name=bot.queue)
    request = PollWorkflowTaskQueueRequest(namespace="default", task_queue=queue, identity="the only worker")
    answer = await client.workflow_service.poll_workflow_task_queue(request, timeout=timedelta(seconds=30))
    return answer.workflow_execution.workflow_id


def test_a_task_that_never_reached_the_worker_is_given_to_it_again(llm_bot, worker):
    """The worker lives, so nobody is told that it hangs, and the message does not wait for the task's timeout."""
    bot = llm_bot
    with ThreadPoolExecutor(11) as threads:
        lost = threads.submit(asyncio.run, take_and_lose(bot))
        answers = []
        while not lost.done():
            answers.append(threads.submit(bot.post))
            time.sleep(0.1)
        answers.append(threads.submit(bot.post))  # for which the worker polls
        began = time.monotonic()
        told = [answer.result() for answer in answers]
        assert {answer.status_code for answer in told} == {200}, [answer.text for answer in told]
        assert lost.result() in {answer.json()["workflow_id"] for answer in told}
        assert time.monotonic() - began < 25, "WORKFLOW_TASK_TIMEOUT is 30 s"
