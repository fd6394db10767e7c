"""Probes that know nothing of Temporal: a TCP port, an HTTP address, a line in a log."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable

from mika.address import join
from mika.machine import http
from mika.readiness.ladder import NotYet


async def tcp(host: str, port: int) -> str:
    """Connect, and hold for a moment: docker's proxy accepts and then resets while nothing listens behind it."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        try:
            async with asyncio.timeout(0.03):
                if await reader.read(1) == b"":
                    raise NotYet(f"{join(host, port)} accepts and closes at once")
        except TimeoutError:
            pass
    finally:
        writer.close()
    return join(host, port)


async def http_ok(url: str, timeout: float = 2.0) -> str:
    """GET `url` must answer 2xx within `timeout` seconds. Never follows a redirect, never uses a proxy."""
    answer = await http.get(url, timeout)
    if answer.kind == "silent":
        raise TimeoutError(answer.reason)
    if answer.kind != "http":
        raise NotYet(answer.reason)
    if not 200 <= answer.status < 300:
        raise NotYet(f"{url} answers {answer.status} {answer.reason}".rstrip())
    return url


class LogLine:
    """Looks for `pattern` in lines as they come; `lines` is called again for each attempt."""

    def __init__(self, pattern: str) -> None:
        self._pattern = re.compile(pattern)

    def search(self, lines: Iterable[str]) -> str:
        for line in lines:
            if self._pattern.search(line):
                return line.strip()[:120]
        raise NotYet(f"no line matches {self._pattern.pattern!r} yet")
