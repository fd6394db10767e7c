"""Reads a request body up to a limit, before anything is parsed."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from src.intake.problems import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import Request

READ_TIMEOUT = 10.0  # s
# A body that is too large is still read (and discarded) up to here: if the answer comes during the upload, most clients
# do not see it, but a broken connection.
_DRAIN_BYTES = 32 * 1024 * 1024
_SMALL = 64 * 1024
"""Bytes that every body may have without asking: large ones that somebody holds back never delay a usual message."""
_LARGE_BODIES = 32 * 1024 * 1024
"""Bytes of all larger bodies that are being read."""
_SHARE_TIMEOUT = 5.0
"""Seconds that a large body waits for its share of them."""


class Budget:
    """A number of bytes that is shared. Who waits longest is next, so a large body is not overtaken for ever."""

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, amount: int) -> AsyncIterator[None]:
        """Wait for that many bytes. They are asked for at once, so two who have a part never wait for each other."""
        amount = min(amount, self._size)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, turn))
        try:
            self._give()
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._free += amount
            turn.cancel()
            self._give()

    def _give(self) -> None:
        while self._waiting and (self._waiting[0][1].cancelled() or self._waiting[0][0] <= self._free):
            amount, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._free -= amount
                turn.set_result(None)


_budget = Budget(_LARGE_BODIES)


async def read_json_body(request: Request, limit: int) -> bytes:
    """At most `limit` bytes of JSON, as they came.

    Raises `Problem` (`unsupported_media_type`, `message_too_large`, `request_timeout`, `api_overloaded`).
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json" and not content_type.endswith("+json"):
        raise Problem("unsupported_media_type", f"Content-Type must be application/json, not {content_type[:100]!r}.")
    return await read_body(request, limit)


async def read_body(request: Request, limit: int) -> bytes:
    """At most `limit` bytes of any type.

    Raises `Problem` (`message_too_large`, `request_timeout`, `api_overloaded`).
    """
    try:
        async with asyncio.timeout(READ_TIMEOUT):
            return await _read(request, limit)
    except TimeoutError:
        raise Problem("request_timeout", f"The body did not arrive within {READ_TIMEOUT:g} s.") from None


async def _read(request: Request, limit: int) -> bytes:
    body = bytearray()
    received = 0
    async with AsyncExitStack() as stack:
        is_held = False
        async for chunk in request.stream():
            received += len(chunk)
            if received > limit:
                body.clear()
                if received > _DRAIN_BYTES:
                    break
                continue
            if received > _SMALL and not is_held:
                await _wait_for_share(stack, _expected(request, limit))
                is_held = True
            body += chunk
    if received > limit:
        raise Problem("message_too_large", f"The body is larger than {limit} bytes.")
    return bytes(body)


async def _wait_for_share(stack: AsyncExitStack, size: int) -> None:
    try:
        async with asyncio.timeout(_SHARE_TIMEOUT):
            await stack.enter_async_context(_budget.hold(size))
    except TimeoutError:
        raise Problem("api_overloaded", "Too many large bodies are being sent at once.") from None


def _expected(request: Request, limit: int) -> int:
    declared = request.headers.get("content-length", "")
    return min(int(declared), limit) if declared.isdecimal() else limit
