"""Who polls a task queue, by what the server lists."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from mika.diagnosis import proto
from mika.diagnosis.proto import TaskType
from mika.diagnosis.survey import look_at
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import DescribeTaskQueueResponse, DescribeWorkflowExecutionResponse


class Server:
    """Lists one worker for workflow tasks alone, and the activities that workers run."""

    namespace = "default"

    def __init__(self, waiting: int, state: int, taken_by: str) -> None:
        self._waiting, self._state, self._taken_by = waiting, state, taken_by

    async def queue_state(self, _queue: str, task_type: TaskType) -> DescribeTaskQueueResponse:
        answer = DescribeTaskQueueResponse()
        if task_type is TaskType.WORKFLOW:
            answer.pollers.add(identity="7@vm").last_access_time.FromSeconds(int(time.time()))
        else:
            answer.stats.approximate_backlog_count = self._waiting
        return answer

    async def workflows(self, *_: object) -> list[WorkflowExecutionInfo]:
        return [WorkflowExecutionInfo()]

    async def describe(self, *_: object) -> DescribeWorkflowExecutionResponse:
        answer: Any = DescribeWorkflowExecutionResponse()
        activity = answer.pending_activities.add(state=self._state, last_worker_identity=self._taken_by)
        activity.activity_type.name = "slow"
        return answer


@pytest.mark.parametrize(
    ("waiting", "state", "taken_by", "takes_activities"),
    [
        (1, proto.STARTED, "7@vm", True),
        (1, proto.CANCEL_REQUESTED, "7@vm", True),
        (1, proto.SCHEDULED, "7@vm", False),
        (1, proto.STARTED, "8@vm", False),
        (0, proto.STARTED, "7@vm", False),
    ],
)
def test_one_whose_slots_are_all_taken_does_not_poll_for_more(waiting, state, taken_by, takes_activities):
    server: Any = Server(waiting, state, taken_by)
    (worker,) = asyncio.run(look_at(server, "jobs")).workers
    assert (worker.identity, worker.workflows, worker.activities) == ("7@vm", True, takes_activities)
