"""The API's judgement of a message that is not answered yet, with a clock of its own."""

from __future__ import annotations

import pytest
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

from src.api.verdict import Watch

SOFT_WAIT = 3.0
SCHEDULED, STARTED = 1, 2


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def task(state, *, scheduled=0.0, started=0.0, attempt=1):
    """The server's clock is a day ahead of ours: only differences may count."""
    response = DescribeWorkflowExecutionResponse()
    response.workflow_execution_info.start_time.FromNanoseconds(86_400 * 10**9)
    pending = response.pending_workflow_task
    pending.state = state
    pending.attempt = attempt
    pending.scheduled_time.FromNanoseconds(int((86_400 + scheduled) * 1e9))
    if state == STARTED:
        pending.started_time.FromNanoseconds(int((86_400 + started) * 1e9))
    return response


def activity(state, *, attempt=1, backoff=0.0):
    response = DescribeWorkflowExecutionResponse()
    pending = response.pending_activities.add(activity_id="1", state=state, attempt=attempt)
    pending.activity_type.name = "ask_llm"
    pending.current_retry_interval.FromMilliseconds(int(backoff * 1000))
    return response


def verdicts(*looks):
    clock = Clock()
    watch = Watch(SOFT_WAIT, clock)
    found = []
    for now, description in looks:
        clock.now = now
        verdict = watch.assess(description)
        found.append(verdict.code if verdict else None)
    return found


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([(0.5, task(SCHEDULED)), (2.9, task(SCHEDULED)), (3.0, task(SCHEDULED))], [None, None, "no_worker"]),
        ([(3.1, task(SCHEDULED))], ["no_worker"]),
        ([(3.1, task(STARTED))], ["worker_unresponsive"]),
        # a task of later: judged by how long that one waits, not by how long the caller does
        ([(3.1, task(SCHEDULED, scheduled=2.5)), (5.6, task(SCHEDULED, scheduled=2.5))], [None, "no_worker"]),
        ([(3.1, task(STARTED, started=2.9)), (6.0, task(STARTED, started=2.9))], [None, "worker_unresponsive"]),
        # joined long after its start
        ([(0.5, task(SCHEDULED, scheduled=20)), (3.6, task(SCHEDULED, scheduled=20))], [None, "no_worker"]),
        # rescheduled from a killed worker to nobody in particular
        ([(2.9, task(STARTED)), (3.4, task(SCHEDULED, scheduled=3.2, attempt=2))], [None, None]),
        ([(4.0, task(SCHEDULED, scheduled=3.9, attempt=4))], ["worker_unresponsive"]),
        # steps
        ([(0.5, activity(STARTED)), (50.0, activity(STARTED))], [None, None]),
        ([(1, activity(SCHEDULED)), (3.9, activity(SCHEDULED)), (4, activity(SCHEDULED))], [None, None, "no_worker"]),
        ([(1.0, activity(SCHEDULED)), (3.0, activity(STARTED)), (5.0, activity(SCHEDULED, attempt=2))], [None] * 3),
        # nobody is expected during the pause before a retry
        ([(now, activity(SCHEDULED, backoff=5)) for now in (1, 5, 8.9, 9)], [None, None, None, "no_worker"]),
        ([(9, DescribeWorkflowExecutionResponse())], [None]),
    ],
)
def test_verdicts(looks, expected):
    assert verdicts(*looks) == expected
