"""Watch one target: wait until it is ready, then keep checking that it still works.

The time without an answer counts only while this process was running. After the laptop has slept, or the supervisor was
suspended, it grows by one interval at most, so a jump of the clock never makes a target look hung.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from mika import tasks
from mika.frozen import frozen
from mika.readiness.ladder import PROBE_TIMEOUT, Certain, OnHopeless, Rung, climb, reason_of
from mika.reason import NONE, Reason
from mika.supervisor.policy import is_same_cause
from mika.wording import _

ALIVE_SECONDS = 1.0
"""How long a process without a probe must have been alive to count as ready."""


@frozen
class Liveness:
    """Call `probe` every `interval` seconds. The target is hung when it has failed for `patience` seconds in a row.

    The target is unhealthy after half of that time, or at once when the probe raises `Certain`. If `patience` is None,
    the target can become unhealthy but not hung: it is not ours to kill.
    """

    probe: Callable[[], Awaitable[str]]
    interval: float
    patience: float | None
    not_hung: tuple[type[Exception], ...] = ()
    """What the probe raises for a target that is unhealthy, but works."""
    calm: float = 0.0
    """Seconds between two calls while the last one was answered, if these are more: a server may log each of them."""


class Observer(Protocol):
    """Receives the results. `became_unready` is called again when the reason changes; `hung` is the last call.

    `hopeless` follows a `rung_waiting` if waiting does not help; None where nobody ever loses hope.
    """

    def rung_reached(self, rung: str, elapsed: float, detail: str) -> None: ...
    def rung_waiting(self, rung: str, reason: Reason) -> None: ...
    @property
    def hopeless(self) -> OnHopeless | None: ...
    def became_ready(self, detail: str) -> None: ...
    def became_unready(self, reason: Reason) -> None: ...
    def hung(self, reason: Reason) -> None: ...


async def watch(
    rungs: Sequence[Rung], liveness: Liveness | None, observer: Observer, *, ready_timeout: float = 0.0
) -> None:
    """Run until cancelled, or until the target is hung. Errors of the probes are not raised but reported.

    A target that is not ready after `ready_timeout` seconds counts as hung; 0 is no limit.
    """
    waits_for = Reason(_("it is starting"))

    def on_waiting(rung: str, reason: Reason) -> None:
        nonlocal waits_for
        waits_for = reason.within(rung)
        observer.rung_waiting(rung, reason)

    try:
        async with asyncio.timeout(ready_timeout or None):
            if not rungs:  # a program that cannot start exits in this time
                await asyncio.sleep(ALIVE_SECONDS)
            detail = await climb(
                rungs, on_reached=observer.rung_reached, on_waiting=on_waiting, on_hopeless=observer.hopeless
            )
    except TimeoutError:
        observer.hung(waits_for.within(_("not ready after {seconds:g} s", seconds=ready_timeout)))
        return
    observer.became_ready(detail)
    if liveness is None:
        return
    await _keep_checking(liveness, observer)


async def _keep_checking(liveness: Liveness, observer: Observer) -> None:
    failing_s, is_ready = 0.0, True
    reported, reported_is_certain = NONE, False
    unready_after = (liveness.patience or 2 * PROBE_TIMEOUT) / 2
    while True:
        began = time.monotonic()
        is_calm = is_ready and not failing_s
        await tasks.sleep_until_tick(max(liveness.interval, liveness.calm if is_calm else 0.0))
        slept_s = min(time.monotonic() - began, liveness.interval)
        began = time.monotonic()
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                detail = await liveness.probe()
        except Exception as error:  # noqa: BLE001 - any error of the probe is a result to report
            failing_s += slept_s + min(time.monotonic() - began, PROBE_TIMEOUT)
            reason = Reason(_("no answer")) if isinstance(error, TimeoutError) else reason_of(error)
            is_certain = isinstance(error, Certain)
            # A guess does not replace an earlier guess. A certain reason replaces a guess, and any new reason replaces
            # a certain one.
            is_new = (is_certain or reported_is_certain) and not is_same_cause(reason.text, reported.text)
            if (is_new and not is_ready) or (is_ready and (failing_s >= unready_after or is_certain)):
                is_ready, reported, reported_is_certain = False, reason, is_certain
                observer.became_unready(reason)
            if isinstance(error, liveness.not_hung):
                failing_s = min(failing_s, unready_after)
                continue
            if liveness.patience is not None and failing_s >= liveness.patience:
                text = _("{reason} for {seconds:.0f} s", reason=reason.text, seconds=failing_s)
                observer.hung(Reason(text, reason.fix, reason.repair))
                return
        else:
            failing_s = 0.0
            if not is_ready:
                is_ready = True
                observer.became_ready(detail)
