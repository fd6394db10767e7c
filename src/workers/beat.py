"""The worker's heartbeat, from inside its event loop.

A blocked loop cannot be noticed from outside, because the SDK's Rust threads continue to poll and to send heartbeats.
So the loop touches a file twice a second, idle or busy, and sets a timer that prints the stacks of all threads if it is
not reset in time.

Workflow code runs in threads, so the loop goes on when that code blocks, and so do the other messages while there are
slots left. But the SDK can neither free the slot nor take the message's next attempt: it is only answered by another
process. Therefore the heartbeat stops then, too.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger("mika.worker")

INTERVAL = 0.5  # s
# A step of workflow code takes milliseconds. After 2 s, the SDK itself fails its task.
_LONGEST_STEP = 2.5


class WorkflowThreads(ThreadPoolExecutor):
    """Runs workflow code, and knows whether it is blocked."""

    def __init__(self) -> None:
        super().__init__(thread_name_prefix="workflow")
        self._began: dict[int, float] = {}  # thread -> time.monotonic() at which its step began

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return super().submit(self._timed, fn, *args, **kwargs)

    def _timed(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        thread = threading.get_ident()
        self._began[thread] = time.monotonic()
        try:
            return fn(*args, **kwargs)
        finally:
            del self._began[thread]

    def is_blocked(self) -> bool:
        oldest = min(list(self._began.values()), default=None)
        return oldest is not None and time.monotonic() - oldest > _LONGEST_STEP


async def beat(path: Path, hang_timeout: float, is_blocked: Callable[[], bool] = lambda: False) -> None:
    """Touch `path` until cancelled, except while `is_blocked()`.

    After 0.8 * `hang_timeout` seconds without a beat (0: never), prints the stacks to standard error.
    """
    has_warned = False
    try:
        while True:
            if is_blocked():
                await asyncio.sleep(INTERVAL)
                continue
            try:
                _touch(path)
            except OSError as error:
                if not has_warned:
                    log.warning("beat_failed", path=str(path), error=str(error))
                has_warned = True
            if hang_timeout > 0:
                # Uses a C thread without the GIL, so it also works while C code holds the GIL.
                faulthandler.dump_traceback_later(0.8 * hang_timeout, exit=False, file=sys.stderr)
            await asyncio.sleep(INTERVAL)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except FileNotFoundError:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
