"""The ladder: rungs are climbed one after the other, each is retried until it holds, and each keeps its last error.

So a time-out can say *which* rung and *why*, and nothing ever waits a fixed time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import tenacity

from mika.errors import MikaError

PROBE_TIMEOUT = 2.0
"""Seconds that one attempt may take: a paused container accepts a connection and then never answers."""

FIRST_STEP, LAST_STEP = 0.03, 0.25
"""Seconds between attempts: quick at first, since an embedded server needs only 0.2 s, then gentler."""

REMIND = 10.0
"""Seconds after which a wait is reported again though nothing has changed."""


@dataclass(frozen=True, slots=True)
class Rung:
    """`probe` returns a detail for people, or raises whatever says that the rung is not reached yet."""

    name: str
    probe: Callable[[], Awaitable[str]]


class NotReadyError(MikaError):
    """The deadline passed on a rung."""

    code = "not_ready"

    def __init__(self, service: str, rung: str, error: str, waited: float) -> None:
        super().__init__(f"{service} is not ready after {waited:.0f} s: waiting for {rung}: {error}")
        self.service, self.rung, self.error, self.waited = service, rung, error, waited


OnReached = Callable[[str, float, str], None]
OnWaiting = Callable[[str, str], None]


async def climb(
    service: str,
    rungs: Sequence[Rung],
    *,
    timeout: float | None = None,
    on_reached: OnReached | None = None,
    on_waiting: OnWaiting | None = None,
) -> str:
    """Climb `rungs` in order and return the last detail.

    `timeout` (seconds, None: no limit) bounds the whole climb. Raises NotReadyError with the rung and its last error.
    """
    began = time.monotonic()
    detail = ""
    for rung in rungs:
        detail = await _hold(service, rung, began, timeout, on_waiting)
        if on_reached is not None:
            on_reached(rung.name, time.monotonic() - began, detail)
    return detail


async def _hold(service: str, rung: Rung, began: float, timeout: float | None, on_waiting: OnWaiting | None) -> str:
    last, said = "", 0.0

    def note(retry: tenacity.RetryCallState) -> None:
        nonlocal last, said
        error = describe(retry.outcome.exception() if retry.outcome else None)
        if on_waiting is not None and (error != last or time.monotonic() - said >= REMIND):
            last, said = error, time.monotonic()
            on_waiting(rung.name, error)

    def overdue(retry: tenacity.RetryCallState) -> bool:
        del retry
        return timeout is not None and time.monotonic() - began >= timeout

    retrying = tenacity.AsyncRetrying(
        stop=overdue,
        wait=tenacity.wait_exponential(multiplier=FIRST_STEP, exp_base=1.5, max=LAST_STEP),
        retry=tenacity.retry_if_exception_type(Exception),
        before_sleep=note,
        reraise=True,
    )
    try:
        return await retrying(_attempt, rung, began, timeout)
    except Exception as error:
        raise NotReadyError(service, rung.name, describe(error), time.monotonic() - began) from error


async def _attempt(rung: Rung, began: float, timeout: float | None) -> str:
    left = PROBE_TIMEOUT if timeout is None else min(PROBE_TIMEOUT, max(0.1, timeout - (time.monotonic() - began)))
    try:
        async with asyncio.timeout(left):
            return await rung.probe()
    except TimeoutError:
        raise TimeoutError(f"no answer within {left:.1f} s") from None


_CONNECTION: dict[type[BaseException], str] = {
    ConnectionRefusedError: "connection refused",
    ConnectionResetError: "connection reset",
    ConnectionAbortedError: "connection aborted",
}


def describe(error: BaseException | None) -> str:
    """One short line for a person; the type's name only where the error has no words."""
    if error is None:
        return ""
    if isinstance(error, ConnectionError) and error.errno is not None:
        return _CONNECTION.get(type(error), error.strerror or "connection failed")  # the OS's words differ by language
    text = " ".join(str(error).split())
    return (text or type(error).__name__)[:300]
