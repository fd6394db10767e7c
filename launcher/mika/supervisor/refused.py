"""What helps a process that exited because nobody listens where it wanted to connect to."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence

from mika.address import join
from mika.machine import ports
from mika.reason import NONE, Reason
from mika.wording import _

_REFUSED = re.compile(r"refused|Connect call failed|\b10061\b", re.IGNORECASE)  # 10061: Windows has it in its language
_HERE = re.compile(r"""(?<![\w.])(127\.0\.0\.1|localhost|::1)\]?["']?(?::|,\s?(?:port\s)?)\s?(\d{2,5})\b""")
"""`127.0.0.1:7233`, `[::1]:7233`, `('127.0.0.1', 5432)`, `"localhost", port 5432`."""
_TEMPORAL = re.compile(r"temporal|Failed client connect|tonic::|failed reaching server|UNAVAILABLE", re.IGNORECASE)

_PATIENCE = 2.5
"""Seconds: Windows tries three times, for two seconds."""


def fix_for_refused(lines: Sequence[str], error: str, temporal: str) -> str:
    """What to do if the line of the `error`, or the other last `lines`, name one address of this machine that refuses.

    Empty if they do not. `temporal` is the address of the server that the process was given. Blocks briefly.
    """
    address = _silent(lines, error, temporal)
    return _("nothing listens on {address}: start what it needs there", address=address) if address else ""


def wrong_server(lines: Sequence[str], error: str, temporal: str) -> Reason:
    """Why a program cannot reach Temporal that looks for it where nobody is; NONE if that is not it. Blocks briefly.

    No other attempt would find it there, as long as the stack's own server is the one that is up.
    """
    address = _silent(lines, error, temporal) if _TEMPORAL.search(error) else ""
    host, _colon, port = temporal.rpartition(":")
    if not address or not port.isdecimal() or not _answers(host.strip("[]"), int(port)):
        return NONE
    fix = _("let it connect to the address in TEMPORAL_ADDRESS, which every process gets")
    return Reason(_("it looks for Temporal at {address}, where nothing listens", address=address), fix)


def _silent(lines: Sequence[str], error: str, temporal: str) -> str:
    """The one address other than `temporal` that the error names, if nobody listens there."""
    if not _REFUSED.search(error):
        return ""
    named = set(_HERE.findall(error)) or {found for line in lines for found in _HERE.findall(line)}
    host, port = named.pop() if len(named) == 1 else ("", "")
    if not host or temporal.endswith(f":{port}") or _answers(host, int(port)):
        return ""
    return join(host, int(port))


def _answers(host: str, port: int) -> bool:
    """Whether somebody listens there now, or that is not known."""
    if ports.has_listener(port):
        return True
    try:  # not every system tells who listens
        socket.create_connection((host, port), _PATIENCE).close()
    except OSError as error:
        return not isinstance(error, ConnectionRefusedError)
    return True
