"""Whose workflow tasks a worker returns: only those of earlier starts of the same worker, in the same run of mika."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.service import RPCError, RPCStatusCode

from src.workers.predecessors import return_tasks

OWN = "worker.1@run-3"


class Server:
    """Has one open workflow for each of `takers`: who has its task in hand; "" if nobody has."""

    namespace = "default"

    def __init__(self, *takers):
        self.takers = dict(enumerate(takers))
        self.returned = []
        self.asked = 0
        self.is_down = False
        self.client = SimpleNamespace(workflow_service=self)

    async def describe_namespace(self):
        self.asked += 1
        if self.is_down:
            raise RPCError("unavailable", RPCStatusCode.UNAVAILABLE, b"")
        return SimpleNamespace(namespace_info=SimpleNamespace(id="namespace-id"))

    async def workflows(self, query, most):
        infos = [WorkflowExecutionInfo() for _ in self.takers]
        for number, info in enumerate(infos):
            info.execution.workflow_id = str(number)
        return infos

    async def newest_events(self, execution, most):
        taker = self.takers[int(execution.workflow_id)]
        event = HistoryEvent(event_id=3, event_type=EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED)
        if taker:
            event.event_type = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
            event.workflow_task_started_event_attributes.identity = taker
        return [event]

    async def respond_workflow_task_failed(self, request, *, timeout, retry):
        taker = request.failure.message.removeprefix("the process of worker ").removesuffix(" is gone")
        if taker == "worker.1@run-1":
            raise RPCError("Workflow task not found.", RPCStatusCode.NOT_FOUND, b"")
        self.returned.append(taker)


@pytest.mark.parametrize(
    ("taker", "is_returned"),
    [
        ("worker.1@run-2", True),
        (OWN, False),
        ("worker.1@run-4", False),
        ("worker.2@run-2", False),
        ("worker.1@other-2", False),
        ("mika-worker/7@host", False),
        ("", False),
    ],
)
def test_whose_tasks_are_returned(taker, is_returned):
    server = Server(taker)
    asyncio.run(return_tasks(server, "queue", OWN))
    assert server.returned == ([taker] if is_returned else [])


def test_one_that_is_answered_meanwhile_does_not_keep_the_others():
    server = Server("worker.1@run-1", "worker.1@run-2")
    asyncio.run(return_tasks(server, "queue", OWN))
    assert server.returned == ["worker.1@run-2"]


@pytest.mark.parametrize("own", ["worker@run-1", "mika-worker/7@host-2x", "worker"])
def test_a_worker_without_predecessors_asks_nothing(own):
    server = Server("worker@run-0")
    asyncio.run(return_tasks(server, "queue", own))
    assert server.asked == 0


def test_a_server_that_does_not_answer_is_no_reason_to_fail():
    server = Server("worker.1@run-2")
    server.is_down = True
    asyncio.run(return_tasks(server, "queue", OWN))
    assert server.returned == []
