"""The readiness ladder: a list of rungs that must be reached in order.

The probe of a rung is retried until it succeeds, and its last error is kept. So when a caller's deadline passes, it can
report *which* rung was not reached and *why*, and no code has to wait for a fixed time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from mika.errors import describe
from mika.frozen import frozen
from mika.reason import NONE, Reason
from mika.wording import _

if TYPE_CHECKING:
    import tenacity

PROBE_TIMEOUT = 2.0
"""Seconds that one attempt may take: a paused container accepts connections but never answers."""

FIRST_STEP, LAST_STEP = 0.03, 0.25
"""Seconds between attempts: short at first, since an embedded server needs only 0.2 s to start, then longer."""

HOPELESS_STEP = 5.0
"""Seconds between attempts where waiting does not help: somebody may still change the cause."""

REMIND = 10.0
"""Seconds after which the same reason for waiting is reported again."""


class NotYet(Exception):  # noqa: N818 - not an error
    """The probe worked, and found that the rung is not reached yet."""

    def __init__(self, reason: Reason | str) -> None:
        self.reason = Reason(reason) if isinstance(reason, str) else reason
        super().__init__(self.reason.text)


class Certain(NotYet):
    """The target is certainly not ready any more, so it is reported at once instead of after several failures."""


class AtWork(NotYet):
    """The target does not answer, but it may be at work on something that would be lost if it were killed."""


class Hopeless(NotYet):
    """Waiting does not help: somebody has to change a setting, or something elsewhere."""


@frozen
class Rung:
    """`probe` returns a detail for users when the rung is reached, and raises an exception otherwise.

    One attempt may take `timeout` seconds.
    """

    name: str
    probe: Callable[[], Awaitable[str]]
    timeout: float = PROBE_TIMEOUT


OnReached = Callable[[str, float, str], None]
OnWaiting = Callable[[str, Reason], None]
OnHopeless = Callable[[Reason], None]


async def climb(
    rungs: Sequence[Rung], *, on_reached: OnReached, on_waiting: OnWaiting, on_hopeless: OnHopeless | None = None
) -> str:
    """Wait until all `rungs` are reached, in order, and return the last detail. There is no timeout.

    `on_hopeless` is called after `on_waiting` if waiting does not help; the attempts go on, at longer intervals.
    Without it, that is a reason to wait like any other.
    """
    began = time.monotonic()
    detail = ""
    for rung in rungs:
        detail = await _reach(rung, on_waiting, on_hopeless)
        on_reached(rung.name, time.monotonic() - began, detail)
    return detail


async def _reach(rung: Rung, on_waiting: OnWaiting, on_hopeless: OnHopeless | None) -> str:
    import tenacity  # here, because the import takes 50 ms, and a process without probes does not need it

    last, reported_at = (NONE, False), 0.0

    def report(retry: tenacity.RetryCallState) -> None:
        nonlocal last, reported_at
        error = retry.outcome.exception() if retry.outcome else None
        reason, is_hopeless = reason_of(error), isinstance(error, Hopeless)
        if (reason, is_hopeless) != last or time.monotonic() - reported_at >= REMIND:
            last, reported_at = (reason, is_hopeless), time.monotonic()
            on_waiting(rung.name, reason)
            if on_hopeless is not None and is_hopeless:
                on_hopeless(reason)

    soon = tenacity.wait_exponential(multiplier=FIRST_STEP, exp_base=1.5, max=LAST_STEP)

    def pause(retry: tenacity.RetryCallState) -> float:
        error = retry.outcome.exception() if retry.outcome else None
        return HOPELESS_STEP if on_hopeless is not None and isinstance(error, Hopeless) else soon(retry)

    retrying = tenacity.AsyncRetrying(
        wait=pause,
        retry=tenacity.retry_if_exception_type(Exception),
        before_sleep=report,
    )
    return await retrying(_attempt, rung)


async def _attempt(rung: Rung) -> str:
    try:
        async with asyncio.timeout(rung.timeout):
            return await rung.probe()
    except TimeoutError:
        raise TimeoutError(_("no answer within {seconds:.1f} s", seconds=rung.timeout)) from None


def reason_of(error: BaseException | None) -> Reason:
    """The reason of a `NotYet`, or the message of any other error."""
    return error.reason if isinstance(error, NotYet) else Reason(describe(error))
