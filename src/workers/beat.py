"""The worker's sign of life, given from inside its event loop.

Nothing outside can see a blocked loop: the SDK's Rust threads go on polling and heartbeating. So the loop touches a
file twice a second, idle or busy, and arms a timer that prints every thread's stack when it is not re-armed in time.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger("mika.worker")

INTERVAL = 0.5


async def beat(path: Path, hang_timeout: float) -> None:
    """Touch `path` until cancelled. The stacks go to standard error after 0.8 of `hang_timeout` (0: never)."""
    complained = False
    try:
        while True:
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
