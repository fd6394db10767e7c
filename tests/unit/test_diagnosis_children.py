"""A workflow that waits for a child is judged by what the child waits for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mika.diagnosis.model import Cause, Surroundings
from mika.doctor.workflows.judge import judge
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.service import RPCError, RPCStatusCode

from tests.kit.temporal_protos import START, around, described, task, worker


def parent(*children: str) -> DescribeWorkflowExecutionResponse:
    found = described("running")
    for child in children:
        found.pending_children.add(workflow_id=child, workflow_type_name="Ship")
    return found


class Server:
    """An examination, and the server behind it."""

    def __init__(self, **workflows: DescribeWorkflowExecutionResponse) -> None:
        self._workflows = workflows

    async def temporal(self) -> Server:
        return self

    async def surroundings(self, _queues: object) -> Surroundings:
        return around()

    async def describe(self, workflow_id: str, _run_id: str) -> DescribeWorkflowExecutionResponse:
        if workflow_id not in self._workflows:
            raise RPCError("", RPCStatusCode.NOT_FOUND, b"")
        return self._workflows[workflow_id]

    async def newest_events(self, _execution: object) -> list[object]:
        return []


@pytest.mark.parametrize(
    ("found", "cause", "finding"),
    [
        (parent("ok", "stuck"), Cause.NO_WORKER, "its child workflow stuck: no worker has taken it for 9.0 s"),
        (parent("middle"), Cause.NO_WORKER, "its child workflow middle: its child workflow stuck: no worker has"),
        (parent("ok"), Cause.RUNNING, "it has been running for 9.0 s; pending: the child workflow ok (Ship)"),
        (parent("ended"), Cause.RUNNING, "it has been running for 9.0 s; pending: the child workflow ended (Ship)"),
        (parent("elsewhere"), Cause.RUNNING, "it has been running for 9.0 s; pending: the child workflow elsewhere"),
        (parent("endless"), Cause.RUNNING, "it has been running for 9.0 s; pending: the child workflow endless"),
    ],
)
def test_a_child_that_hangs(found: DescribeWorkflowExecutionResponse, cause: Cause, finding: str) -> None:
    server: Any = Server(
        ok=described("running"),
        stuck=task(1),
        middle=parent("stuck"),
        ended=described("terminated", closed=3),
        endless=parent("endless"),
    )
    judged = asyncio.run(judge(server, found, [], around(worker()), now=START + 9))
    assert judged.cause == cause
    assert judged.finding.startswith(finding)
    assert bool(judged.fix) == (cause == Cause.NO_WORKER)
