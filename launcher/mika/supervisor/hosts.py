"""Why a host name cannot be resolved on which a process exited: one like `temporal` or `db` exists only in compose."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence

from mika.reason import NONE, Reason
from mika.supervisor.diagnose import find_error_line
from mika.wording import _

_NOT_RESOLVED = re.compile(
    r"dns error|name or service not known|nodename nor servname|getaddrinfo|name resolution|no such host"
    r"|failed to lookup address|could not translate host name|name does not resolve|UnknownHostException",
    re.IGNORECASE,
)
# In the line of the error: Node.js, Go, libpq, Java, redis, MongoDB.
_IN_ERROR = re.compile(
    r"(?:ENOTFOUND|EAI_AGAIN) (?P<node>[\w.-]+)|\blookup (?P<go>[\w.-]+)(?: on \S+)?: |host name \"(?P<pg>[^\"]+)\""
    r"|UnknownHostException: (?P<java>[\w.-]+)"
    r"|(?<![\w.:/-])(?P<any>[A-Za-z][\w.-]*):\d{2,5}\b"
)
# In the source lines of a traceback: `Client.connect("temporal:7233")`, `("db", 5432)`, `host="db"`.
_IN_SOURCE = re.compile(
    r"""["'](?:\w+://)?(?:[^"'@/]*@)?(?P<host>[A-Za-z][\w-]*):\d{2,5}\b|\(["'](?P<pair>[A-Za-z][\w-]*)["'], *\d"""
)
_OF_COMPOSE = re.compile(r"(?!localhost$)[A-Za-z][\w-]*")


def explain_host(lines: Sequence[str]) -> Reason:
    """Why a process exited, if its last lines say that such a name could not be resolved, and it still cannot be.

    Blocks as long as a name lookup takes.
    """
    error = find_error_line(lines)
    if not _NOT_RESOLVED.search(error):
        return NONE
    host = _named(_IN_ERROR, [error]) or _named(_IN_SOURCE, [line for line in reversed(lines) if line[:1].isspace()])
    if not _OF_COMPOSE.fullmatch(host) or _resolves(host):
        return NONE
    text = _(
        "the host name `{host}` cannot be resolved here: that of a compose service exists only inside compose",
        host=host,
    )
    if host.lower().startswith("temporal") or "Failed client connect" in error:
        return Reason(text, _("connect to the address in TEMPORAL_ADDRESS, which every process gets, not to that name"))
    return Reason(text, _("connect to where compose publishes `{host}`, such as 127.0.0.1 and its port", host=host))


def _named(pattern: re.Pattern[str], lines: Sequence[str]) -> str:
    matches = (match for line in lines for match in pattern.finditer(line))
    return next((next(filter(None, match.groups()), "") for match in matches), "")


def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):  # the second one for a name that is too long
        return False
    return True
