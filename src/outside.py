"""What comes from outside, and how to get there: any text can be stored, a wait that is asked for has a limit, and
this machine is never behind a proxy.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

from mika.diagnosis.wording import _

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_ANSWER = 100_000
"""Characters. Temporal takes 2 MB in one payload, where a character may need 12 bytes (two escapes in JSON)."""
LONGEST_RETRY_AFTER = 60.0
"""Seconds. Who asks for a longer wait will not be ready in time for any message."""
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")  # NUL ends a string in C; half a surrogate pair has no UTF-8


def storable(text: str) -> str:
    """The text with what no database takes replaced, and cut to `LONGEST_ANSWER` characters, which it then says."""
    shown = _NOT_STORABLE.sub("\ufffd", text)
    if len(shown) <= LONGEST_ANSWER:
        return shown
    note = f"\n[cut: the whole answer has {len(shown)} characters]"
    return shown[: LONGEST_ANSWER - len(note)] + note


def decoded(answer: bytes) -> object:
    """The JSON in another program's answer; None if it is none."""
    try:
        return json.loads(answer)
    except (ValueError, RecursionError):  # hundreds of thousands of brackets
        return None


def path_part(text: str) -> str:
    """As one part of a URL's path, which it cannot leave. Raises `ValueError`."""
    # `%2E%2E` and `..%2Fx` are no help: many servers and proxies decode them first.
    if not {".", ".."}.isdisjoint(re.split(r"[/\\]", text)):
        raise ValueError("must not contain the path . or ..")
    return quote(text, safe="")


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
    return _(" (through the proxy of {name}_PROXY)", name=name.upper()) if name else ""


def retry_after(
    headers: Mapping[str, str], now: datetime | None = None, *, longest: float = LONGEST_RETRY_AFTER
) -> float | None:
    """Seconds that the other side asks to wait, from 0 to `longest`; None if it gives no valid time."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            retry_at = parsedate_to_datetime(value)
        except ValueError:
            return None
        if retry_at.tzinfo is None:
            retry_at = retry_at.replace(tzinfo=UTC)
        seconds = (retry_at - (now or datetime.now(UTC))).total_seconds()
    if seconds != seconds:  # noqa: PLR0124 - "nan" is a float too
        return None
    return min(max(seconds, 0.0), longest)
