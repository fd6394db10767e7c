"""Why a message that is not answered yet is not answered, judged from what Temporal says of its workflow.

Not from the list of pollers: that keeps a killed worker for five minutes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from temporalio.api.enums.v1 import PendingActivityState, PendingWorkflowTaskState

if TYPE_CHECKING:
    from collections.abc import Callable

    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse


@dataclass(frozen=True, slots=True)
class Verdict:
    """`code` is the problem's code."""

    code: str
    detail: str


class Watch:
    """Looks again and again at one workflow, and remembers since when it sees the same thing.

    Ages come from this process's own clock, or from two times of the server's: their clocks need not agree.
    """

    def __init__(self, soft_wait: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._soft_wait = soft_wait
        self._clock = clock
        self._started = clock()
        self._seen: object = None
        self._seen_since = self._started

    @property
    def elapsed(self) -> float:
        """Seconds since the wait began."""
        return self._clock() - self._started

    def look(self, description: DescribeWorkflowExecutionResponse) -> Verdict | None:
        """None while a worker is on it, or while it is too early to tell."""
        if description.HasField("pending_workflow_task"):
            return self._look_at_workflow_task(description)
        for pending in description.pending_activities:
            if pending.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED:
                # While it waits for its next attempt nobody is expected to take it.
                backoff = pending.current_retry_interval.ToTimedelta().total_seconds()
                age = self._age(("activity", pending.activity_id, pending.attempt)) - backoff
                if age >= self._soft_wait:
                    step = pending.activity_type.name
                    return Verdict("no_worker", f"No worker has taken the step {step} for {age:.1f} s.")
                return None
        self._age(None)
        return None

    def _look_at_workflow_task(self, description: DescribeWorkflowExecutionResponse) -> Verdict | None:
        task = description.pending_workflow_task
        taken = task.state == PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_STARTED
        since = (task.started_time if taken else task.scheduled_time).ToNanoseconds()
        age = self._age(("workflow", task.state, task.attempt, since))
        # The first task is about as old as the workflow, which began before the first look at it.
        started = description.workflow_execution_info.start_time.ToNanoseconds()
        age = max(age, self.elapsed - (since - started) / 1e9)
        if age < self._soft_wait and not (task.attempt >= 3 and self.elapsed >= self._soft_wait):
            return None
        if task.attempt >= 3:
            return Verdict("worker_unresponsive", f"Workers failed the workflow's step {task.attempt - 1} times.")
        if taken:
            return Verdict("worker_unresponsive", f"A worker took the message {age:.1f} s ago and does not answer.")
        return Verdict("no_worker", f"No worker has taken the message for {age:.1f} s.")

    def _age(self, seen: object) -> float:
        now = self._clock()
        if seen != self._seen:
            self._seen, self._seen_since = seen, now
        return now - self._seen_since
