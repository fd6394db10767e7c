"""The worker's sign of life, given from inside its event loop.

Nothing outside can see a blocked loop: the SDK's Rust threads go on polling and heartbeating. So the loop touches a
file twice a second, idle or busy, and arms a timer that prints every thread's stack when it is not re-armed in time.

Workflow code runs in threads, so the loop is not blocked when that blocks. But the SDK cannot free its slot, and
without a cache of workflows there is only one: no other message is answered. So that ends the beat as well.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

log = structlog.get_logger("mika.worker")

INTERVAL = 0.5
# A step of workflow code takes milliseconds; the SDK itself takes the task away from one that took 2 s.
_LONGEST_STEP = 2.5


class WorkflowThreads(ThreadPoolExecutor):
    """Runs workflow code, and knows whether a step of it blocks."""

    def __init__(self) -> None:
        super().__init__(thread_name_prefix="workflow")
        self._began: dict[int, float] = {}  # thread -> time.monotonic() at which its step began

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return super().submit(self._timed, fn, *args, **kwargs)

    def _timed(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        thread = threading.get_ident()
        self._began[thread] = time.monotonic()
        try:
            return fn(*args, **kwargs)
        finally:
            del self._began[thread]

    def blocked(self) -> bool:
        oldest = min(list(self._began.values()), default=None)
        return oldest is not None and time.monotonic() - oldest > _LONGEST_STEP


async def beat(path: Path, hang_timeout: float, blocked: Callable[[], bool] = lambda: False) -> None:
    """Touch `path` until cancelled, but not while `blocked()`.

    The stacks go to standard error after 0.8 of `hang_timeout` (0: never) without a beat.
    """
    complained = False
    try:
        while True:
            if blocked():
                await asyncio.sleep(INTERVAL)
                continue
            try:
                _touch(path)
            except OSError as error:
                if not complained:
                    log.warning("beat_failed", path=str(path), error=str(error))
                complained = True
            if hang_timeout > 0:
                # A C thread that needs no GIL: it also speaks when C code holds that.
                faulthandler.dump_traceback_later(0.8 * hang_timeout, exit=False, file=sys.stderr)
            await asyncio.sleep(INTERVAL)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except FileNotFoundError:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
