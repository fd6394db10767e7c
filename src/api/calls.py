"""Calls to Temporal: a limited number at once, each with a timeout, and one shared judgement whether it is gone."""

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
# A lazy client raises RuntimeError while it cannot connect. A call that times out is CANCELLED, not DEADLINE_EXCEEDED.
TEMPORAL_ERRORS = (RPCError, RuntimeError, TimeoutError)
# How long the server may be gone before callers get an error; its restart takes less than a second.
_OUTAGE_PATIENCE = 4.0
# With more, all of them would time out on a small machine that gets hundreds of messages at once.
_MAX_CONCURRENT = 32


class Calls:
    """Shared by all requests."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(_MAX_CONCURRENT)
        self._answered_at = float("-inf")  # time.monotonic() of the server's last answer to any caller

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Wraps one call that is made for all callers together, and does not wait behind theirs. Raises the same."""
        async with asyncio.timeout(CALL_TIMEOUT):
            yield
            self.record_answer()

    @asynccontextmanager
    async def call(self, since: float) -> AsyncIterator[None]:
        """Wraps one call. `since`: the `time.monotonic` at which its caller began to wait. Raises `TEMPORAL_ERRORS`."""
        # rpc_timeout alone is not enough: it applies to each of the SDK's own retries.
        async with self._slots, asyncio.timeout(CALL_TIMEOUT):
            if self.is_gone(since):
                raise TimeoutError  # the calls before this one got no answer either
            yield
            self.record_answer()

    def record_answer(self) -> None:
        """The server has just answered a caller, with or without this class."""
        self._answered_at = time.monotonic()

    def is_gone(self, since: float) -> bool:
        """Whether the server has not answered any caller for so long that this one should get an error."""
        return time.monotonic() - max(since, self._answered_at) >= _OUTAGE_PATIENCE


def is_transient(error: BaseException) -> bool:
    """Whether the same call may work a moment later."""
    return not isinstance(error, RPCError) or error.status not in {
        RPCStatusCode.NOT_FOUND,
        RPCStatusCode.INVALID_ARGUMENT,
        RPCStatusCode.PERMISSION_DENIED,
        RPCStatusCode.UNAUTHENTICATED,
        RPCStatusCode.UNIMPLEMENTED,
    }
