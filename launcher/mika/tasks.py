"""Cancelling asyncio tasks, and waking up together."""

from __future__ import annotations

import asyncio
from typing import Any

_RETRY_INTERVAL = 0.5  # s


async def cancel(task: asyncio.Task[Any]) -> None:
    """Cancel a task, repeatedly until it is done. Only for tasks that need no clean-up of their own.

    One attempt may not be enough: a library may swallow a cancellation (`asyncio.wait_for` does before Python 3.12:
    python/cpython#86296), and a caller that waits for the task would then wait forever.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_RETRY_INTERVAL)
    if not task.cancelled():
        task.exception()  # marks the exception as retrieved, so that asyncio does not log it


async def sleep_until_tick(interval: float) -> None:
    """Sleep until the next multiple of `interval` seconds: loops with the same interval then wake up together.

    What an idle supervisor costs is the number of times that it wakes up, not what it does then.
    """
    await asyncio.sleep(interval - asyncio.get_running_loop().time() % interval)
