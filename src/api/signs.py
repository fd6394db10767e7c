"""Whether a worker shows signs of life. All waiting callers share the same request to the server.

If nobody takes a message, there is no worker, or many messages are ahead of it. The server's list of pollers does not
say which, because it keeps a killed worker for a minute. But a busy worker polls again after each task, so the time of
its latest poll changes. Only changes count, and their times are those of this process's clock, because the server's
may differ.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from mika.diagnosis import proto
from mika.diagnosis.proto import TaskType
from mika.diagnosis.temporal import Temporal

from src.api.calls import TEMPORAL_ERRORS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

    from src.api.calls import Calls

T = TypeVar("T")
Kind = Literal["workflow", "activity"]
Times = dict[Kind, float]
_TASK_TYPES: dict[Kind, TaskType] = {"workflow": TaskType.WORKFLOW, "activity": TaskType.ACTIVITY}
_NEVER = float("-inf")

ASK_EVERY = 1.0
"""Seconds between two requests, no matter how many callers wait."""


class SharedRequest(Generic[T]):
    """A request that concurrent callers share; its answer is used for `lifetime` seconds."""

    def __init__(self, send: Callable[[], Awaitable[T]], lifetime: float, clock: Callable[[], float]) -> None:
        self._send, self._lifetime, self._clock = send, lifetime, clock
        self._sent_at = _NEVER
        self._task: asyncio.Future[T] | None = None

    def start(self) -> asyncio.Future[T]:
        """Send the request, unless it was sent recently."""
        task, now = self._task, self._clock()
        if task is None or (task.done() and now - self._sent_at >= self._lifetime):
            self._sent_at = now
            self._task = task = asyncio.ensure_future(self._send())
            task.add_done_callback(
                lambda done: done.cancelled() or done.exception()
            )  # there may be no caller who waits for it
        return task

    async def get(self) -> T:
        """Raises what the request raised. If one caller is cancelled, the others still get the answer."""
        return await asyncio.shield(self.start())


@dataclass(frozen=True, slots=True)
class WorkflowSnapshot:
    """What a workflow's description shows: when workers last took a task or sent a heartbeat, and what is pending."""

    times: Times
    activities: frozenset[str]


class WorkerSigns:
    """Signs of life of all workers. `patience`: seconds after the last sign during which silence is normal."""

    def __init__(
        self, latest_polls: Callable[[], Awaitable[Times]], patience: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._latest_polls, self._patience, self._clock = latest_polls, patience, clock
        self._request = SharedRequest(self._read_polls, ASK_EVERY, clock)
        self._answered_at = _NEVER
        self._last_signs: Times = dict.fromkeys(_TASK_TYPES, _NEVER)
        self._polls: Times = {}
        self._polls_at = _NEVER
        self._compared_at = _NEVER
        self._watched_since = _NEVER

    def record_step(self) -> None:
        """A worker has just finished a step of a message."""
        self._answered_at = self._clock()

    def is_answering(self) -> bool:
        """Whether steps are being finished, so there is a worker, and it is busy."""
        return self._clock() - self._answered_at < self._patience

    def compare(
        self, before: WorkflowSnapshot | None, description: DescribeWorkflowExecutionResponse
    ) -> WorkflowSnapshot:
        """Record what has changed since `before`, which the last call returned (None for the first call)."""
        snapshot = _take_snapshot(description)
        if before is not None:
            self._record_changes(before.times, snapshot.times)
            if snapshot.activities != before.activities:
                self.record_step()  # the workflow has started its next activity, or an activity has ended
        return snapshot

    def is_fresh(self, age: float) -> bool:
        """Whether a worker has shown a sign within the last `age` seconds."""
        return self._clock() - max(self._answered_at, *self._last_signs.values()) < age

    def are_missing(self) -> bool:
        """Whether the server was asked for long enough, without a gap, and has shown no sign.

        False while nobody knows: a busy server answers late, and then a worker that is busy, too, is not gone.
        """
        now = self._clock()
        last = max(self._watched_since, self._answered_at, *self._last_signs.values())
        return now - self._polls_at < self._patience <= now - last

    def has_polled_since(self, moment: float) -> bool:
        """Whether somebody has polled for workflow tasks after `moment`, by the server's clock."""
        return self._polls.get("workflow", 0.0) > moment

    def request_polls(self) -> None:
        """Ask the server soon, without waiting for the answer."""
        self._request.start()

    async def is_silent(self, kind: Kind, since: float) -> bool:
        """Whether nobody takes tasks of this kind. Also False if it is too early to tell.

        `since`: when the caller began to wait, by this object's clock.
        """
        await self._request.get()
        now = self._clock()
        if now - since >= 2 * self._patience and now - self._compared_at >= self._patience:
            return True  # the server does not answer
        # A worker takes the later steps of its workflows from a queue of its own, and under load hardly anything else.
        # Then only its other polls show that it lives.
        signs = self._last_signs.values() if kind == "workflow" else [self._last_signs[kind]]
        return self._compared_at - since >= ASK_EVERY and now - max(*signs, since) >= self._patience

    async def _read_polls(self) -> None:
        try:
            polls = await self._latest_polls()
        except TEMPORAL_ERRORS:
            return
        now = self._clock()
        # After a longer gap, a poll that is new to us may still be old.
        if now - self._polls_at < self._patience:
            self._record_changes(self._polls, polls)
            self._compared_at = now
        else:
            self._watched_since = now
        self._polls, self._polls_at = polls, now

    def _record_changes(self, before: Mapping[Kind, float], after: Mapping[Kind, float]) -> None:
        for kind, timestamp in after.items():
            if timestamp > before.get(kind, 0.0):
                self._last_signs[kind] = self._clock()


def make_poll_reader(temporal: Temporal, queue: str, calls: Calls) -> Callable[[], Awaitable[Times]]:
    """A function that asks the server when each kind of task was last polled for, by the server's clock."""

    async def latest(task_type: TaskType) -> float:
        state = await temporal.queue_state(queue, task_type)
        return max((proto.at(poller.last_access_time) for poller in state.pollers), default=0.0)

    async def read() -> Times:
        async with calls.shared():
            times = await asyncio.gather(*(latest(task_type) for task_type in _TASK_TYPES.values()))
        return dict(zip(_TASK_TYPES, times, strict=True))

    return read


def _take_snapshot(description: DescribeWorkflowExecutionResponse) -> WorkflowSnapshot:
    times: Times = {"workflow": 0.0, "activity": 0.0}  # by the server's clock; 0 for never
    if description.HasField("pending_workflow_task"):
        times["workflow"] = proto.at(description.pending_workflow_task.started_time)
    for pending in description.pending_activities:
        # Only a worker's event loop sends heartbeats, even while all slots are in use and it does not poll.
        times["activity"] = max(
            times["activity"], proto.at(pending.last_started_time), proto.at(pending.last_heartbeat_time)
        )
    return WorkflowSnapshot(times, frozenset(pending.activity_id for pending in description.pending_activities))
