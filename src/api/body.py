"""Reading a request body with a limit, before anything is parsed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from src.api.problems import Problem

if TYPE_CHECKING:
    from fastapi import Request

READ_TIMEOUT = 10.0
# What is too large is still read (and thrown away) up to here: an answer in the middle of an upload is lost to most
# clients, they see a broken connection instead.
_DRAIN_BYTES = 32 * 1024 * 1024


async def read_json_body(request: Request, limit: int) -> bytes:
    """At most `limit` bytes. Raises `Problem` (`invalid_message`, `message_too_large`)."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json" and not content_type.endswith("+json"):
        raise Problem("invalid_message", f"Content-Type must be application/json, not {content_type[:100]!r}.")
    body = bytearray()
    read = 0
    try:
        async with asyncio.timeout(READ_TIMEOUT):
            async for chunk in request.stream():
                read += len(chunk)
                if read <= limit:
                    body += chunk
                elif read > _DRAIN_BYTES:
                    break
    except TimeoutError:
        raise Problem("invalid_message", f"The body did not arrive within {READ_TIMEOUT:g} s.") from None
    if read > limit:
        raise Problem("message_too_large", f"The body is larger than {limit} bytes.")
    return bytes(body)
