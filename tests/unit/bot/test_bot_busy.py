"""A message that nobody has taken yet: without a worker, or behind the others of a busy one."""

from __future__ import annotations

import pytest
from mika.diagnosis.model import Poller, Surroundings
from mika.diagnosis.workflow import classify
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

NOW = 1000.0


def untaken(since):
    response = DescribeWorkflowExecutionResponse()
    info = response.workflow_execution_info
    info.status, info.task_queue = 1, "queue"
    info.start_time.FromSeconds(int(NOW - since))
    pending = response.pending_workflow_task
    pending.state, pending.attempt = 1, 1
    pending.scheduled_time.FromSeconds(int(NOW - since))
    return response


@pytest.mark.parametrize(
    ("waits", "polled", "state", "cause"),
    [
        (20, 0.2, "alive", "running"),
        (20, 2.9, "alive", "running"),
        (20, 5.0, "alive", "no_worker"),  # it asked after the message came, and then no more
        (4, 5.0, "alive", "no_worker"),  # it asked before, and would have got it
        (20, 0.2, "gone", "no_worker"),
        (20, 0.2, "stopped", "worker_unresponsive"),
        (2, 60.0, "alive", "running"),  # too early to tell
    ],
)
def test_an_untaken_message(waits, polled, state, cause):
    poller = Poller("worker", "default", "queue", polled, workflows=True, activities=True, state=state)
    found = classify(untaken(waits), (), Surroundings(queue="queue", pollers=(poller,)), now=NOW)
    assert found.cause == cause, found
    assert bool(found.fix) == (cause != "running")
