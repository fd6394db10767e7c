"""Probes that know nothing of Temporal: a TCP port, an HTTP address, a line in a log."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from mika.readiness.ladder import NotYet


async def tcp(host: str, port: int) -> str:
    """Connect, and hold for a moment: docker's proxy accepts and then resets while nothing listens behind it."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        try:
            async with asyncio.timeout(0.03):
                if await reader.read(1) == b"":
                    raise NotYet(f"{host}:{port} accepts and closes at once")
        except TimeoutError:
            pass
    finally:
        writer.close()
    return f"{host}:{port}"


async def http_ok(url: str, timeout: float = 2.0) -> str:
    """GET `url` must answer 2xx within `timeout` seconds. Never follows a redirect, never uses a proxy."""
    status, reason = await asyncio.to_thread(_get, url, timeout)
    if not 200 <= status < 300:
        raise NotYet(f"{url} answers {status} {reason}".rstrip())
    return url


def _get(url: str, timeout: float) -> tuple[int, str]:
    import http.client

    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=timeout)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path, headers={"Connection": "close", "User-Agent": "mika"})
        answer = connection.getresponse()
        answer.read(65536)
        return answer.status, answer.reason
    finally:
        connection.close()


class LogLine:
    """Looks for `pattern` in lines as they come; `lines` is called again for each attempt."""

    def __init__(self, pattern: str) -> None:
        self._pattern = re.compile(pattern)

    def search(self, lines: Iterable[str]) -> str:
        for line in lines:
            if self._pattern.search(line):
                return line.strip()[:120]
        raise NotYet(f"no line matches {self._pattern.pattern!r} yet")
