"""Probes that know nothing of Temporal: a TCP port, an HTTP address."""

from __future__ import annotations

import asyncio
import socket

from mika.address import join
from mika.machine import http
from mika.readiness.ladder import PROBE_TIMEOUT, NotYet
from mika.wording import _


async def tcp_here(port: int) -> str:
    """Like `tcp`, on this machine, by either address family: some servers listen on ::1 only (Vite does)."""
    try:
        return await tcp("127.0.0.1", port)
    except ConnectionRefusedError:
        if not socket.has_ipv6:
            raise
        return await tcp("::1", port)


async def tcp(host: str, port: int) -> str:
    """Connect, and hold for a moment: docker's proxy accepts and then resets while nothing listens behind it."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        try:
            async with asyncio.timeout(0.03):
                if await reader.read(1) == b"":
                    raise NotYet(_("{address} accepts and closes at once", address=join(host, port)))
        except TimeoutError:
            pass
    finally:
        writer.close()
    return join(host, port)


class UnwelcomeAnswer(NotYet):
    """It answers, but not as it should: that is unhealthy, and never hung."""


async def http_ok(url: str, status: str = "2xx", timeout: float = PROBE_TIMEOUT) -> str:
    """GET `url` must answer with `status` (`204`, `2xx`, `any`) within `timeout` seconds.

    Never follows a redirect, never uses a proxy.
    """
    answer = await http.get(url, timeout)
    if answer.kind == "silent":
        raise TimeoutError(answer.reason)
    if answer.kind != "http":
        raise NotYet(answer.reason)
    if not has_status(answer.status, status):
        status_line = f"{answer.status} {answer.reason}".rstrip()
        raise UnwelcomeAnswer(_("{url} answers {status}", url=url, status=status_line))
    return url


def has_status(code: int, wanted: str) -> bool:
    """Whether a status code is the wanted one: `204`, `2xx` or `any`."""
    return wanted in ("any", str(code), f"{code // 100}xx")
