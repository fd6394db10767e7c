"""Refuses requests whose `Host` is not a name of this machine (DNS rebinding).

A web page of anybody can give its own name the address 127.0.0.1. The browser then sends the page's requests to this
API, and lets the page read the answers; only the `Host` header still has the page's name.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING

from src.api.problems import response_to
from src.intake.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from starlette.types import ASGIApp, Receive, Scope, Send

    from src.config import Settings

_HOST = re.compile(r"(?:\[([^\[\]@/\s]+)\]|([^:\[\]@/\s]+))(?::\d*)?")
# How containers call the machine that they run on. Their engines resolve these names, and no DNS server does.
_OF_CONTAINERS = frozenset({"host.docker.internal", "gateway.docker.internal", "host.containers.internal"})

_OF_PROXIES = frozenset({b"forwarded", b"via", b"x-real-ip", b"cf-connecting-ip"})


class HostGuard:
    """ASGI middleware. Without `API_ALLOWED_HOSTS`, it only checks what arrives at a loopback address.

    What arrives at another address was meant to be reached from outside, by whatever name.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._own = {"localhost", settings.api_host.lower(), *_OF_CONTAINERS}
        self._allowed = [host.lower().rstrip(".") for host in settings.api_allowed_hosts]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = _host(scope) if scope["type"] == "http" else None
        if host is not None and (self._allowed or arrives_at_loopback(scope)) and not self._is_ours(host):
            await response_to(_refusal(host))(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_ours(self, host: str) -> bool:
        return host in self._own or is_name_of_loopback(host) or _is_address(host) or self._is_allowed(host)

    def _is_allowed(self, host: str) -> bool:
        return any(
            pattern in {"*", host} or (pattern.startswith("*.") and host.endswith(pattern[1:]))
            for pattern in self._allowed
        )


def arrives_at_loopback(scope: Mapping[str, Any]) -> bool:
    """Whether the connection ends at a loopback address of this machine, whatever the API is bound to."""
    server = scope.get("server")
    return server is not None and _is_loopback(str(server[0]))


def comes_from_this_machine(scope: Mapping[str, Any]) -> bool:
    """Also that no tunnel or proxy on this machine handed it on, as far as its headers say."""
    client, host = scope.get("client"), _host(scope)
    is_local = client is not None and _is_loopback(str(client[0])) and arrives_at_loopback(scope)
    is_direct = not any(name in _OF_PROXIES or name.startswith(b"x-forwarded-") for name, _ in scope["headers"])
    return is_local and is_direct and host is not None and (is_name_of_loopback(host) or _is_loopback(host))


def is_name_of_loopback(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")  # RFC 6761: never asked of a DNS server


def _host(scope: Mapping[str, Any]) -> str | None:
    """The `Host` header in lower case, without its port; None without one (HTTP/1.0), which no browser does."""
    header = next((value for name, value in scope["headers"] if name == b"host"), None)
    if header is None:
        return None
    text = header.decode("latin-1").strip().lower()
    found = _HOST.fullmatch(text)
    return (found[1] or found[2]).rstrip(".") if found else text


def _is_address(host: str) -> bool:
    """A page's own name is never an address, so an address is nobody's trick."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return _is_address(host) and ip_address(host).is_loopback


def _refusal(host: str) -> Problem:
    return Problem(
        "host_not_allowed",
        f"The request is for the host {host[:100]!r}, which is not a name of this machine. If it is that of your tunnel"
        " or proxy, add it to API_ALLOWED_HOSTS (names, separated by commas) in .env, then `mika restart api`.",
    )
