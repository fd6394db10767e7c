"""Reads a request body up to a limit, before anything is parsed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from src.api.problems import Problem

if TYPE_CHECKING:
    from fastapi import Request

READ_TIMEOUT = 10.0  # s
# A body that is too large is still read (and discarded) up to here: if the answer comes during the upload, most clients
# do not see it, but a broken connection.
_DRAIN_BYTES = 32 * 1024 * 1024


async def read_json_body(request: Request, limit: int) -> bytes:
    """At most `limit` bytes. Raises `Problem` (`invalid_message`, `message_too_large`)."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json" and not content_type.endswith("+json"):
        raise Problem("invalid_message", f"Content-Type must be application/json, not {content_type[:100]!r}.")
    body = bytearray()
    received = 0
    try:
        async with asyncio.timeout(READ_TIMEOUT):
            async for chunk in request.stream():
                received += len(chunk)
                if received <= limit:
                    body += chunk
                elif received > _DRAIN_BYTES:
                    break
    except TimeoutError:
        raise Problem("invalid_message", f"The body did not arrive within {READ_TIMEOUT:g} s.") from None
    if received > limit:
        raise Problem("message_too_large", f"The body is larger than {limit} bytes.")
    return bytes(body)
