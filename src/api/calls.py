"""Calls to Temporal: not too many at once, each with its time-out, and one opinion on whether the server is gone."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from mika.diagnosis.temporal import RPC_TIMEOUT
from temporalio.service import RPCError, RPCStatusCode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CALL_TIMEOUT = RPC_TIMEOUT
# A lazy client raises RuntimeError while it cannot connect; an expired call is CANCELLED, not DEADLINE_EXCEEDED.
TEMPORAL_ERRORS = (RPCError, RuntimeError, TimeoutError)
# How long a server that is gone may stay away before the caller hears of it; its restart takes less than a second.
_OUTAGE_PATIENCE = 4.0
# With more, a small machine that gets hundreds of messages at once lets all of them run into the time-out.
_AT_ONCE = 32


class Calls:
    """What all requests share."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._heard_at = float("-inf")  # time.monotonic() of the server's last answer to anybody

    @asynccontextmanager
    async def call(self, since: float) -> AsyncIterator[None]:
        """Around one call, for a caller since `since` on `time.monotonic`. Raises one of `TEMPORAL_ERRORS`."""
        # rpc_timeout alone is for each of the SDK's own retries
        async with self._places, asyncio.timeout(CALL_TIMEOUT):
            if self.is_gone(since):
                raise TimeoutError  # those ahead in the queue for a place tried in vain
            yield
            self.heard()

    def heard(self) -> None:
        """The server has just answered somebody, here or elsewhere."""
        self._heard_at = time.monotonic()

    def is_gone(self, since: float) -> bool:
        """Whether the server answered nobody for so long that this caller shall hear of it."""
        return time.monotonic() - max(since, self._heard_at) >= _OUTAGE_PATIENCE


def may_pass(error: BaseException) -> bool:
    """Whether the same call may work a moment later."""
    return not isinstance(error, RPCError) or error.status not in {
        RPCStatusCode.NOT_FOUND,
        RPCStatusCode.INVALID_ARGUMENT,
        RPCStatusCode.PERMISSION_DENIED,
        RPCStatusCode.UNAUTHENTICATED,
        RPCStatusCode.UNIMPLEMENTED,
    }
