"""The end of a task."""

from __future__ import annotations

import asyncio
from typing import Any

_AGAIN = 0.5  # s


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel it until it has ended; for tasks with nothing to tidy up.

    Once is not enough: a library may swallow a cancellation (`asyncio.wait_for` does before Python 3.12:
    python/cpython#86296), and who waits for the task would wait for ever.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_AGAIN)
    if not task.cancelled():
        task.exception()  # it is told by nobody else, and was seen
