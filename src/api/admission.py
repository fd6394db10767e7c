"""How many messages may be under way at once: as many as the workers can answer in time.

Whatever is started waits in Temporal's queue, in order. With more than the workers can take, all would wait for longer
than their timeout, and hardly any would be answered. So there is a bound, which follows the rate at which messages are
answered: by all workers, and whoever started them, as the server counts them. Beyond the bound a message waits here, in
order, and its caller is told that the bot is busy as soon as it is clear that its turn will not come in time: at once,
if a burst of the last ten minutes has shown the rate, else after some seconds of this one.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from mika.diagnosis.temporal import literal
from mika.diagnosis.wording import _

from src.api.calls import TEMPORAL_ERRORS
from src.api.signs import SharedRequest
from src.intake.problems import Problem
from src.messages import WORKFLOW

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mika.diagnosis.temporal import Temporal

    from src.api.calls import Calls

log = structlog.get_logger("mika.api")

COUNT_EVERY = 1.0  # s
# Per second of the timeout, while no rate is known: any worker that is worth the name answers so many.
_SURE_RATE = 100 / 60
_LEAST = 20
# Of the timeout. The rest is for what the rate does not tell: it falls when the machine has more to do, and a step
# that a busy worker does not take from its own queue in time waits once more, behind the others.
_SHARE = 1 / 3
# With fewer open messages than this, the rate shows how many come, and not how many could be answered.
_BACKLOG = 10
# Between two looks that are further apart, nobody knows whether there was always a backlog.
_LONGEST_GAP = 5.0  # s
_LEAST_SPAN, _LEAST_COMPLETED = 2.0, 5
# While a burst arrives, hardly anything is answered: the machine is busy with taking it. So less than this of a backlog
# can only show that the rate is higher than was known.
_SURE_SPAN = 8.0  # s
# For so long, a measured rate is expected of the next burst.
_REMEMBERED_FOR = 600.0  # s
# Of a backlog from which hardly anything was answered for so long, earlier rates say nothing.
_STALLED = 10.0  # s
# The server's lists show a message so much later than it was started. Rather counted twice for as long than not at all.
_LAG = 3.0  # s
_MOST_WAITING = 2000
# The count of completed messages begins at a time that is moved on now and then, so that it stays cheap.
_EPOCH = 300.0  # s


@dataclass(frozen=True, slots=True)
class Count:
    """Messages of all callers. `completed` counts from some time on, whose value is `epoch`; None with no backlog."""

    open: int
    completed: int | None
    epoch: float


@dataclass(frozen=True, slots=True)
class _Sample:
    """How many were completed at some time of a backlog."""

    at: float
    completed: int
    epoch: float


@dataclass(slots=True, eq=False)
class _Waiting:
    since: float
    patience: float
    turn: asyncio.Future[None]


class Admission:
    """Shared by all requests of this process. Asks the server at most once a second, however many messages come."""

    def __init__(
        self,
        count: Callable[[], Awaitable[Count]],
        has_worker: Callable[[], bool],
        is_gone: Callable[[float], bool],
        time_out: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`time_out`: seconds that a message has. `has_worker`: whether one has shown a sign of life of late.

        `is_gone`: whether the server has answered nobody since that time, for long enough to say so.
        """
        self._count, self._has_worker, self._is_gone = count, has_worker, is_gone
        self._time_out, self._clock = time_out, clock
        self._request = SharedRequest(self._look, COUNT_EVERY, clock)
        self._open, self._looked_at, self._completed_at = 0, -math.inf, -math.inf
        self._samples: deque[_Sample] = deque()
        self._measured: tuple[float, float] | None = None
        """The rate of the last backlog, and when that was."""
        self._starts: deque[float] = deque()
        """When this process started messages that the latest count may not contain."""
        self._waiting: deque[_Waiting] = deque()
        self._serving: asyncio.Task[None] | None = None
        self._refused = 0  # since the last line in the log

    async def admit(self, patience: float) -> None:
        """Return when the message may be started. Raises `Problem`, `busy` if that is not within `patience` seconds."""
        if not self._waiting and self._under_way() < self._limit():
            self._starts.append(self._clock())
            self._request.start()
            return
        if len(self._waiting) >= _MOST_WAITING:
            raise self._busy(len(self._waiting))
        mine = _Waiting(self._clock(), patience, asyncio.get_running_loop().create_future())
        if self._is_fresh() and self._comes_too_late(mine, len(self._waiting)):
            raise self._refusal(len(self._waiting), has_worker=self._has_worker())
        self._waiting.append(mine)
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve())
        try:
            await mine.turn
        finally:
            if mine in self._waiting:  # its caller has left
                self._waiting.remove(mine)

    async def _look(self) -> None:
        """Count. Raises `TEMPORAL_ERRORS`."""
        asked, samples = self._clock(), self._samples
        count = await self._count()
        now = self._clock()
        self._open, self._looked_at = count.open, now
        while self._starts and self._starts[0] < asked - _LAG:
            self._starts.popleft()
        if count.completed is None:
            samples.clear()
            return
        if samples and (samples[-1].epoch != count.epoch or asked - samples[-1].at >= _LONGEST_GAP):
            samples.clear()
        if samples and count.completed > samples[-1].completed:
            self._completed_at = now
        samples.append(_Sample(now, count.completed, count.epoch))
        while now - samples[0].at > self._time_out / 2:
            samples.popleft()
        self._measure()

    async def _serve(self) -> None:
        """Let those who wait pass, in order, until nobody waits."""
        while self._waiting:
            has_worker = self._has_worker()
            with contextlib.suppress(*TEMPORAL_ERRORS):  # it may be slow, because of all those messages
                async with asyncio.timeout(COUNT_EVERY):
                    await self._request.get()
            if self._is_gone(self._waiting[0].since if self._waiting else self._clock()):
                self._release(len(self._waiting))  # to start them will say what is wrong
                return
            self._release(self._limit() - self._under_way())
            self._refuse(has_worker=has_worker)
            if self._refused:
                log.warning("overloaded", refused=self._refused, open=self._under_way(), rate=self._rate())
                self._refused = 0
            await asyncio.sleep(COUNT_EVERY / 2)

    def _release(self, number: int) -> None:
        for _turn in range(min(max(number, 0), len(self._waiting))):
            waiting = self._waiting.popleft()
            if not waiting.turn.done():
                self._starts.append(self._clock())
                waiting.turn.set_result(None)

    def _refuse(self, *, has_worker: bool) -> None:
        """Tell those whose turn will not come in time."""
        staying: deque[_Waiting] = deque()
        for waiting in self._waiting:
            if not self._comes_too_late(waiting, len(staying)):
                staying.append(waiting)
            elif not waiting.turn.done():
                waiting.turn.set_exception(self._refusal(len(staying), has_worker=has_worker))
        self._waiting = staying

    def _is_fresh(self) -> bool:
        return self._clock() - self._looked_at < _LONGEST_GAP

    def _comes_too_late(self, waiting: _Waiting, before: int) -> bool:
        """Whether its turn will not come in time, after so many others."""
        rate = self._rate()
        comes_in = before / rate if rate else 0.0
        return self._clock() - waiting.since + comes_in >= waiting.patience

    def _under_way(self) -> int:
        return self._open + len(self._starts)

    def _limit(self) -> int:
        by_rate = max(_LEAST, int(_SHARE * (self._rate() or 0.0) * self._time_out))
        # An earlier backlog cannot tell that this one will be as slow.
        return by_rate if self._is_sure() else max(by_rate, math.ceil(_SURE_RATE * self._time_out))

    def _rate(self) -> float | None:
        """Messages answered per second by busy workers, as last measured; None if nothing tells."""
        if self._measured is None or self._clock() - self._measured[1] > _REMEMBERED_FOR:
            return None
        return self._measured[0]

    def _measure(self) -> None:
        """Remember the rate while there were always some to answer, if the latest counts show it."""
        first, last = self._samples[0], self._samples[-1]
        span, completed = last.at - first.at, last.completed - first.completed
        if span >= _LEAST_SPAN and completed >= _LEAST_COMPLETED:
            rate, known = completed / span, self._rate()
            if self._is_sure() or known is None or rate > known:
                self._measured = rate, last.at
        elif span >= _STALLED:
            self._measured = None

    def _is_sure(self) -> bool:
        """Whether the counts of this very backlog tell its rate."""
        return bool(self._samples) and self._samples[-1].at - self._samples[0].at >= _SURE_SPAN

    def _refusal(self, before: int, *, has_worker: bool) -> Problem:
        self._refused += 1
        # A worker that is busy with all that shows hardly any other sign of life.
        is_moving = self._clock() - self._completed_at < _STALLED
        return self._busy(before) if has_worker or is_moving or not self._under_way() else self._no_worker()

    def _busy(self, before: int) -> Problem:
        rate, under_way = self._rate(), self._under_way()
        wait = math.ceil((before + 1) / rate) if rate else 10
        detail = (
            _(
                "The bot is busy: {count} messages are under way, and {rate:.3g} are answered per second. The message "
                "was not accepted.",
                count=under_way,
                rate=rate,
            )
            if rate
            else _("The bot is busy: {count} messages are under way. The message was not accepted.", count=under_way)
        )
        return Problem("busy", detail, retry_after=min(max(wait, 1), 60))

    def _no_worker(self) -> Problem:
        return Problem(
            "no_worker",
            _(
                "No worker takes messages, and {count} wait for one. The message was not accepted.",
                count=self._under_way(),
            ),
        )


class MessageCounter:
    """Asks the server how many messages are open, and, if that are many, how many were completed."""

    def __init__(self, temporal: Temporal, queue: str, calls: Calls) -> None:
        self._temporal, self._calls = temporal, calls
        self._own = f"WorkflowType = '{WORKFLOW}' AND TaskQueue = {literal(queue)}"
        self._epoch, self._since = -math.inf, ""

    async def read(self) -> Count:
        """Raises `TEMPORAL_ERRORS`."""
        now = time.monotonic()
        if now - self._epoch >= _EPOCH:
            self._epoch = now
            self._since = (datetime.now(UTC) - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        epoch, completed = self._epoch, None
        query = f"{self._own} AND ExecutionStatus = 'Completed' AND CloseTime > '{self._since}'"
        async with self._calls.shared():
            open_now = await self._temporal.count_workflows(f"{self._own} AND ExecutionStatus = 'Running'")
            if open_now >= _BACKLOG:
                completed = await self._temporal.count_workflows(query)
        return Count(open_now, completed, epoch)
