"""Readiness and liveness of one target: climb its ladder, then keep asking whether it still works.

Silence is counted in time during which *we* were awake: a laptop that slept, or a supervisor that was stopped, adds
no more than one interval, so nothing is called hung because the clock jumped.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mika.readiness.ladder import PROBE_TIMEOUT, Certain, Rung, climb, reason_of
from mika.reason import NONE, Reason
from mika.supervisor.policy import same_cause


@dataclass(frozen=True, slots=True)
class Liveness:
    """Ask `probe` every `interval` seconds; after `patience` seconds of failing in a row the target is hung.

    It is shown as unhealthy after half of that, or at once when the probe is `Certain`. `patience` None: unhealthy,
    never hung (not ours to kill).
    """

    probe: Callable[[], Awaitable[str]]
    interval: float
    patience: float | None


class Observer(Protocol):
    """Who wants to know. `became_unready` comes again when the reason has changed; `hung` ends the watch."""

    def rung_reached(self, rung: str, elapsed: float, detail: str) -> None: ...
    def rung_waiting(self, rung: str, reason: Reason) -> None: ...
    def became_ready(self, detail: str) -> None: ...
    def became_unready(self, reason: Reason) -> None: ...
    def hung(self, reason: Reason) -> None: ...


async def watch(rungs: Sequence[Rung], liveness: Liveness | None, observer: Observer) -> None:
    """Run until cancelled, or until the target is hung. Never raises for what a probe says."""
    detail = await climb(rungs, on_reached=observer.rung_reached, on_waiting=observer.rung_waiting)
    observer.became_ready(detail)
    if liveness is None:
        return
    silent, ready = 0.0, True
    shown, is_certain = NONE, False
    unready_after = (liveness.patience or 2 * PROBE_TIMEOUT) / 2
    while True:
        began = time.monotonic()
        await asyncio.sleep(liveness.interval)
        asleep = min(time.monotonic() - began, liveness.interval)
        began = time.monotonic()
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                detail = await liveness.probe()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
            silent += asleep + min(time.monotonic() - began, PROBE_TIMEOUT)
            reason = Reason("no answer") if isinstance(error, TimeoutError) else reason_of(error)
            is_sure = isinstance(error, Certain)
            # Of two guesses the first one stays; what is certain replaces it, and is replaced when it has passed.
            changed = not ready and (is_sure or is_certain) and not same_cause(reason.text, shown.text)
            if changed or (ready and (silent >= unready_after or is_sure)):
                ready, shown, is_certain = False, reason, is_sure
                observer.became_unready(reason)
            if liveness.patience is not None and silent >= liveness.patience:
                observer.hung(Reason(f"{reason.text} for {silent:.0f} s", reason.fix, reason.repair))
                return
        else:
            silent = 0.0
            if not ready:
                ready = True
                observer.became_ready(detail)
