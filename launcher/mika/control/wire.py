"""The format of the control channel, for both sides: one JSON line with a MAC in each direction, and the limits."""

from __future__ import annotations

import hashlib
import hmac

MAX_REQUEST = 64 * 1024
MAX_ANSWER = 8 * 1024 * 1024
TIMEOUT = 5.0
"""Seconds for a whole exchange. A request for something that takes longer (a restart, a stop) is answered at once, and
the client then polls the status."""


def sign(key: str, nonce: str, body: bytes) -> str:
    """HMAC-SHA-256 (RFC 2104) of the nonce of this connection and the body."""
    return hmac.new(key.encode(), nonce.encode() + body, hashlib.sha256).hexdigest()


def signed_line(key: str, nonce: str, body: bytes) -> bytes:
    return body + b"\t" + sign(key, nonce, body).encode() + b"\n"


def is_signed(key: str, nonce: str, body: bytes, mac: str) -> bool:
    return hmac.compare_digest(mac, sign(key, nonce, body))


def split(line: bytes) -> tuple[bytes, str]:
    """Body and MAC. JSON never contains a raw tab, so the MAC is what follows the last one."""
    body, _, mac = line.rstrip(b"\n").rpartition(b"\t")
    return body, mac.decode("ascii")
