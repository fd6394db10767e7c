"""Hosts and ports as text: how an address is written, and whether it is this machine's own loopback."""

from __future__ import annotations


def is_loopback(host: str) -> bool:
    """Whether what is sent to `host` stays on this machine. An address that means "all" is reached that way, too."""
    from ipaddress import ip_address

    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def reachable(host: str) -> str:
    """Where to connect to a server that listens on `host`: one that listens on all addresses also has this one."""
    return "127.0.0.1" if host in ("", "0.0.0.0", "::") else host


def join(host: str, port: int) -> str:
    """`host:port`, and `[host]:port` for IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def http_url(host: str, port: int) -> str:
    """Where a web server that listens on `host` is reached; without a path."""
    return f"http://{join(reachable(host), port)}"
