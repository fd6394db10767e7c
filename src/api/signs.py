"""Whether a worker gives signs of life: asked once for all callers that wait.

A message that nobody takes has no worker, or it stands behind many others. The server's list of pollers cannot tell,
because it keeps a killed worker for a minute; but a worker that works asks for more after each task, so that the time
of its latest poll moves. Only what moves counts, and this process's own clock says when: the server's need not agree.
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
"""Seconds between two questions, however many callers wait."""


class Shared(Generic[T]):
    """One question for all who ask meanwhile; its answer serves for `fresh` seconds."""

    def __init__(self, ask: Callable[[], Awaitable[T]], fresh: float, clock: Callable[[], float]) -> None:
        self._ask, self._fresh, self._clock = ask, fresh, clock
        self._asked_at = _NEVER
        self._task: asyncio.Future[T] | None = None

    def start(self) -> asyncio.Future[T]:
        """Ask, unless somebody just did."""
        task, now = self._task, self._clock()
        if task is None or (task.done() and now - self._asked_at >= self._fresh):
            self._asked_at = now
            self._task = task = asyncio.ensure_future(self._ask())
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # perhaps nobody waits for it
        return task

    async def get(self) -> T:
        """Raises what the question raised. Who is cancelled does not cancel it for the others."""
        return await asyncio.shield(self.start())


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at a workflow tells of workers: when they last took something or spoke, and what is pending."""

    times: Times
    activities: frozenset[str]


class Signs:
    """What workers were seen to do. `patience`: seconds after the last sign in which silence is normal."""

    def __init__(
        self, latest_polls: Callable[[], Awaitable[Times]], patience: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._latest_polls, self._patience, self._clock = latest_polls, patience, clock
        self._question = Shared(self._ask, ASK_EVERY, clock)
        self._answered = _NEVER
        self._seen: Times = dict.fromkeys(_TASK_TYPES, _NEVER)
        self._polls: Times = {}
        self._polls_at = _NEVER
        self._compared_at = _NEVER

    def answered(self) -> None:
        """A worker has just done a step of some message."""
        self._answered = self._clock()

    def is_answering(self) -> bool:
        """Whether steps are being done: then a worker is there, and busy."""
        return self._clock() - self._answered < self._patience

    def compare(self, before: Seen | None, description: DescribeWorkflowExecutionResponse) -> Seen:
        """Look at one workflow; `before` is what this returned the last time, None for the first look."""
        seen = _seen(description)
        if before is not None:
            self._note(before.times, seen.times)
            if seen.activities != before.activities:
                self.answered()  # the workflow's code asked for its next activity, or an activity has ended
        return seen

    def is_fresh(self, age: float) -> bool:
        """Whether a worker was seen within the last `age` seconds."""
        return self._clock() - max(self._answered, *self._seen.values()) < age

    def ask(self) -> None:
        """Ask the server soon, and do not wait for the answer."""
        self._question.start()

    async def is_silent(self, kind: Kind, since: float) -> bool:
        """Whether nobody takes tasks of this kind. False also when it is too early to tell.

        `since`: when the caller began to wait, on this object's clock.
        """
        await self._question.get()
        now = self._clock()
        if now - since >= 2 * self._patience and now - self._compared_at >= self._patience:
            return True  # the server does not tell
        return self._compared_at - since >= ASK_EVERY and now - max(self._seen[kind], since) >= self._patience

    async def _ask(self) -> None:
        try:
            polls = await self._latest_polls()
        except TEMPORAL_ERRORS:
            return
        now = self._clock()
        # Across a longer gap a poll that is new may still be an old one.
        if now - self._polls_at < self._patience:
            self._note(self._polls, polls)
            self._compared_at = now
        self._polls, self._polls_at = polls, now

    def _note(self, before: Mapping[Kind, float], after: Mapping[Kind, float]) -> None:
        for kind, at in after.items():
            if at > before.get(kind, 0.0):
                self._seen[kind] = self._clock()


def latest_polls_of(temporal: Temporal, queue: str, calls: Calls) -> Callable[[], Awaitable[Times]]:
    """The question to the server: when each kind of task was last polled for, by the server's clock."""

    async def latest(task_type: TaskType) -> float:
        state = await temporal.queue_state(queue, task_type)
        return max((proto.at(poller.last_access_time) for poller in state.pollers), default=0.0)

    async def question() -> Times:
        async with calls.call(time.monotonic()):
            times = await asyncio.gather(*(latest(task_type) for task_type in _TASK_TYPES.values()))
        return dict(zip(_TASK_TYPES, times, strict=True))

    return question


def _seen(description: DescribeWorkflowExecutionResponse) -> Seen:
    times: Times = {"workflow": 0.0, "activity": 0.0}  # by the server's clock; 0 for never
    if description.HasField("pending_workflow_task"):
        times["workflow"] = proto.at(description.pending_workflow_task.started_time)
    for pending in description.pending_activities:
        # Only a worker's event loop sends heartbeats, also while all its slots are taken and it polls for no more.
        times["activity"] = max(
            times["activity"], proto.at(pending.last_started_time), proto.at(pending.last_heartbeat_time)
        )
    return Seen(times, frozenset(pending.activity_id for pending in description.pending_activities))
