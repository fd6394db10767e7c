"""The ladder: rungs are climbed one after the other, each is retried until it holds, and each keeps its last reason.

So whoever runs out of patience can say *which* rung and *why*, and nothing ever waits a fixed time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mika.errors import describe
from mika.reason import NONE, Reason

if TYPE_CHECKING:
    import tenacity

PROBE_TIMEOUT = 2.0
"""Seconds that one attempt may take: a paused container accepts a connection and then never answers."""

FIRST_STEP, LAST_STEP = 0.03, 0.25
"""Seconds between attempts: quick at first, since an embedded server needs only 0.2 s, then gentler."""

REMIND = 10.0
"""Seconds after which a wait is reported again though nothing has changed."""


class NotYet(Exception):  # noqa: N818 - not an error: the rung is simply not reached yet
    """The probe worked and the answer is: not yet."""

    def __init__(self, reason: Reason | str) -> None:
        self.reason = Reason(reason) if isinstance(reason, str) else reason
        super().__init__(self.reason.text)


class Certain(NotYet):
    """There is no doubt about it: a target that was ready is not, and need not be asked twice."""


@dataclass(frozen=True, slots=True)
class Rung:
    """`probe` returns a detail for people, or raises whatever says that the rung is not reached yet."""

    name: str
    probe: Callable[[], Awaitable[str]]


OnReached = Callable[[str, float, str], None]
OnWaiting = Callable[[str, Reason], None]


async def climb(rungs: Sequence[Rung], *, on_reached: OnReached, on_waiting: OnWaiting) -> str:
    """Climb `rungs` in order and return the last detail. Waits until then: whoever calls it has the deadline."""
    began = time.monotonic()
    detail = ""
    for rung in rungs:
        detail = await _hold(rung, on_waiting)
        on_reached(rung.name, time.monotonic() - began, detail)
    return detail


async def _hold(rung: Rung, on_waiting: OnWaiting) -> str:
    import tenacity  # here, since it costs 50 ms that a process without a probe need not wait for

    last, reported = NONE, 0.0

    def report(retry: tenacity.RetryCallState) -> None:
        nonlocal last, reported
        reason = reason_of(retry.outcome.exception() if retry.outcome else None)
        if reason != last or time.monotonic() - reported >= REMIND:
            last, reported = reason, time.monotonic()
            on_waiting(rung.name, reason)

    retrying = tenacity.AsyncRetrying(
        wait=tenacity.wait_exponential(multiplier=FIRST_STEP, exp_base=1.5, max=LAST_STEP),
        retry=tenacity.retry_if_exception_type(Exception),
        before_sleep=report,
    )
    return await retrying(_attempt, rung)


async def _attempt(rung: Rung) -> str:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT):
            return await rung.probe()
    except TimeoutError:
        raise TimeoutError(f"no answer within {PROBE_TIMEOUT:.1f} s") from None


def reason_of(error: BaseException | None) -> Reason:
    """The reason that a probe raised, or what any other error says."""
    return error.reason if isinstance(error, NotYet) else Reason(describe(error))
