"""What went wrong with a container or with compose, and how to fix it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mika.backends.docker.monitor import Seen
from mika.reason import NONE, Reason, Repair
from mika.supervisor.diagnose import find_error_line

_SIGNALS = {130: "SIGINT", 134: "SIGABRT", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}
_OTHER_VERSION = "set POSTGRES_IMAGE=postgres:{0} in .env to keep the data, or delete it: `mika down --volumes`"
KEEP_DATA = "set the password it was made with in .env to keep the data, or delete the data: `mika down --volumes`"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why compose failed. `service` is the culprit, or empty where it is not one alone."""

    service: str
    reason: Reason
    told_by_service: bool = False
    """The service's own exit says it better."""


# What the last lines of a container say that will be the same next time: the line, what it means, the fix. `{0}` is the
# pattern's first group.
_CAUSES: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(r"password authentication failed for user \"?([^\s\"\\]+)"),
        "PostgreSQL refuses the password of '{0}': its volume keeps the password it was made with",
        KEEP_DATA,
    ),
    (
        re.compile(r"initialized by PostgreSQL version (\d+), which is not compatible with this version (\d+)"),
        "its volume was made by PostgreSQL {0}, and this is {1}",
        _OTHER_VERSION,
    ),
    (
        re.compile(
            r"(?:\^M|\\r|\r)['\"]?: (?:bad interpreter|No such file|not found|command not found)|Illegal option -\r"
        ),
        "a mounted script has Windows line endings (CRLF)",
        "save it with LF",
    ),
    (re.compile(r"exec format error"), "the image is for another processor", "set `platform` in the compose file"),
    (
        re.compile(r"No space left on device", re.IGNORECASE),
        "the disk of the Docker engine is full",
        "`docker system df` shows what takes the space",
    ),
)
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_DATABASE_GONE = "no usable database connection found"  # the server's words
_EMPTY = re.compile(r'unable to read DB schema version.*relation "schema_version" does not exist')  # the server's words


def exit_reason(seen: Seen, code: int) -> str:
    """How a container ended: `killed (137, SIGKILL)`, `out of memory ...`, `exit code 1`."""
    if seen.oom:
        limit = f": its limit is {seen.memory / 2**20:.0f} MB (mem_limit)" if seen.memory else ""
        return f"out of memory, killed by the kernel (exit code {code}){limit}"
    signal = _SIGNALS.get(code)
    return f"killed by {signal} (exit code {code})" if signal else f"exit code {code}"


def cause(lines: Sequence[str]) -> Reason:
    """The cause that a retry cannot fix, or NONE."""
    for line in reversed(lines[-30:]):
        for pattern, text, fix in _CAUSES:
            if match := pattern.search(line):
                return Reason(text.format(*match.groups()), fix.format(*match.groups()))
    return NONE


def has_lost_its_database(lines: Sequence[str]) -> bool:
    """The server says only that it cannot reach its database, at the end of a dump that is too long to be shown."""
    return any(_DATABASE_GONE in line for line in lines)


def last_reason(lines: Sequence[str]) -> Reason:
    """The line that most likely says why; the server's own last line points at the database only."""
    if any(_EMPTY.search(line) for line in lines):
        return Reason("its database is empty", "`mika up` sets it up again", Repair("up"))
    if has_lost_its_database(lines):
        return Reason(f"{_DATABASE_GONE} (see the log of its database)")
    return Reason(find_error_line([_ESCAPE.sub("", line) for line in lines]))


_PORT = re.compile(r"(?:Bind for|listen tcp[46]?|exposing port TCP) \S*?:(\d+)\b")
_ONE_SHOT = re.compile(r"service \"([^\"]+)\" didn't complete successfully")
_UNHEALTHY = re.compile(r"dependency failed to start: container (\S+) (?:is unhealthy|exited \((\d+)\))")
_NAME = re.compile(r"container name \"/?([^\"]+)\" is already in use")
_LOG_PREFIX = re.compile(r"^(time=\S+ )?(level=\S+ )?(Error response from daemon: )?")


def port_of(text: str) -> int | None:
    """The port that could not be published because somebody has it."""
    taken = "already allocated" in text or "address already in use" in text or "forbidden by its access" in text
    found = _PORT.search(text)
    return int(found[1]) if taken and found else None


_ENGINE_ERRORS = (
    ("no space left on device", "the disk of the Docker engine is full", "`docker system prune` frees some"),
    ("cannot start a paused container", "its container is paused", "`docker unpause` it"),
    ("mounts denied", "Docker Desktop does not share this folder", "Settings, Resources, File sharing"),
    ("error while creating mount source path", "a folder of `volumes` cannot be made there", ""),
    ("non-overlapping ipv4 address pool", "Docker has no free network left", "`docker network prune`"),
    ("all predefined address pools", "Docker has no free network left", "`docker network prune`"),
)
"""What an error of the engine contains (in lower case), what it means, and the fix."""


def engine_reason(text: str) -> Reason:
    """What an error of the engine means; its own words where it is not a known one."""
    if match := _NAME.search(text):
        name = match[1]
        return Reason(f"the container name {name} is taken by another container", f"`docker rm {name}`, or rename it")
    for mark, meaning, fix in _ENGINE_ERRORS:
        if mark in text.lower():
            return Reason(f"{meaning} ({_brief(text)})", fix)
    return Reason(_brief(text))


def _brief(text: str) -> str:
    return _LOG_PREFIX.sub("", " ".join(text.split()))[:300]


def compose_failure(output: str, containers: Sequence[Seen]) -> Failure:
    """Who is to blame for a failed `compose up`, by its output and by what the engine keeps of each container."""
    for seen in containers:
        if seen.state == "created" and seen.error:
            return Failure(seen.service, Reason(seen.error))
    if found := _ONE_SHOT.search(output):
        return Failure(found[1], Reason(found[0]), told_by_service=True)
    if found := _UNHEALTHY.search(output):
        service = next((seen.service for seen in containers if seen.name == found[1]), "")
        return Failure(service, Reason(found[0]), told_by_service=bool(service) and found[2] is not None)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "rror" in line or "failed" in line] or lines[-1:] or ["no word of why"]
    mentioned = [seen.service for seen in containers if f"Container {seen.name} " in errors[-1]]
    return Failure(mentioned[0] if mentioned else "", Reason(errors[-1]))


_PULL_ERRORS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("toomanyrequests", "429", "rate limit"),
        "its registry answers 429, too many requests",
        "`docker login` raises the limit, or wait",
    ),
    (("no space left on device",), "the disk of the Docker engine is full", "`docker system prune` frees some"),
    (("no matching manifest",), "it is not made for this processor", "set `platform` in the compose file"),
    (
        ("manifest unknown", "not found: manifest", "manifest for"),
        "there is no such tag",
        "correct it in the compose file or in .env",
    ),
    (
        ("access denied", "unauthorized", "authentication required", "denied"),
        "there is no such image, or it wants a login",
        "correct its name, or `docker login`",
    ),
)
"""What the registry's answer contains (in lower case), what it means, and the fix; the first that fits counts."""
_UNREACHABLE = ("no such host", "dial tcp", "i/o timeout", "tls handshake", "eof", "proxyconnect")


def pull_failure(image: str, text: str) -> Reason:
    """Why an image could not be had, and what to do."""
    low = text.lower()
    name = f"the image {image} cannot be pulled"
    for marks, meaning, fix in _PULL_ERRORS:
        if any(mark in low for mark in marks):
            return Reason(f"{name}: {meaning}", fix)
    if any(mark in low for mark in _UNREACHABLE):
        return Reason(f"{name}: its registry cannot be reached ({_brief(text)})", "go online, or `docker load` it")
    return Reason(f"{name}: {_brief(text)}")
