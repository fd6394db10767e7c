"""Hosts and ports as text: how to write an address, and whether it is a loopback address."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_HOST = re.compile(r"(?<=://)([^/ @]+?)(:\d+)?(?=[/ ]|$)")


def is_loopback(host: str) -> bool:
    """Whether connections to `host` stay on this machine. This includes the addresses that mean "all interfaces"."""
    from ipaddress import ip_address

    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def reachable(host: str) -> str:
    """The host to connect to if a server listens on `host`: loopback, if it listens on all interfaces.

    Of `::` that of IPv6: many a server, uvicorn among them, then takes no connection of IPv4.
    """
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def join(host: str, port: int) -> str:
    """`host:port`, and `[host]:port` for IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def http_url(host: str, port: int) -> str:
    """The URL, without a path, of a web server that listens on `host`."""
    return f"http://{join(reachable(host), port)}"


def reachable_url(url: str) -> str:
    """`url` with the host to connect to, and brackets around one of IPv6: it was put together from settings."""

    def reached(found: re.Match[str]) -> str:
        host = reachable(found[1].strip("[]"))
        return (f"[{host}]" if ":" in host else host) + (found[2] or "")

    return _HOST.sub(reached, url, count=1)


def origin(url: str) -> str:
    """The part of a web address that says where it is: without a path, a user and what follows a space."""
    parts = urlsplit(url.partition(" ")[0])
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
