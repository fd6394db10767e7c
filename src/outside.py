"""What comes from outside, and how to get there: any text can be stored, and this machine is never behind a proxy."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

LONGEST_ANSWER = 100_000
"""Characters. Temporal takes 2 MB in one payload, where a character may need 12 bytes (two escapes in JSON)."""
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")  # NUL ends a string in C; half a surrogate pair has no UTF-8


def storable(text: str) -> str:
    """The text with what no database takes replaced, and cut to `LONGEST_ANSWER` characters, which it then says."""
    shown = _NOT_STORABLE.sub("\ufffd", text)
    if len(shown) <= LONGEST_ANSWER:
        return shown
    note = f"\n[cut: the whole answer has {len(shown)} characters]"
    return shown[: LONGEST_ANSWER - len(note)] + note


def is_on_this_machine(url: str) -> bool:
    """As `mika.address.is_loopback`: of mika, the bot imports only the diagnosis."""
    host = urlsplit(url).hostname or ""
    if host.rstrip(".") == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def needs_certificates(url: str) -> bool:
    """For httpx's `verify`: to load them takes 30 ms, which a plain address need not spend."""
    return urlsplit(url).scheme == "https"


def through_proxy(url: str) -> str:
    """` (through the proxy of HTTPS_PROXY)` for an error about `url`, or nothing if none is used."""
    parts = urlsplit(url)
    if is_on_this_machine(url) or proxy_bypass(parts.hostname or ""):
        return ""
    proxies = getproxies()
    name = next((name for name in (parts.scheme, "all") if name in proxies), "")
    return f" (through the proxy of {name.upper()}_PROXY)" if name else ""
