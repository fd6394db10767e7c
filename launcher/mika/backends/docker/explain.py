"""What went wrong with a container or with compose, in words that say how to mend it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mika.backends.docker.monitor import Seen
from mika.supervisor.diagnose import last_words

_SIGNALS = {130: "SIGINT", 134: "SIGABRT", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}
_OTHER_VERSION = "set POSTGRES_IMAGE=postgres:{0} in .env to keep the data, or delete it: `mika down --volumes`"
KEEP_DATA = "set the password it was made with in .env to keep the data, or delete the data: `mika down --volumes`"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why compose failed. `service` is the culprit, or empty where it is not one alone."""

    service: str
    reason: str
    told_by_service: bool = False
    """The service's own exit says it better."""


# What the last lines of a container say that will be the same next time. `{0}` is the pattern's first group.
_CAUSES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"password authentication failed for user \"?([^\s\"\\]+)"),
        "PostgreSQL refuses the password of '{0}': its volume keeps the password it was made with; " + KEEP_DATA,
    ),
    (
        re.compile(r"initialized by PostgreSQL version (\d+), which is not compatible with this version (\d+)"),
        "its volume was made by PostgreSQL {0}, and this is {1}: " + _OTHER_VERSION,
    ),
    (
        re.compile(
            r"(?:\^M|\\r|\r)['\"]?: (?:bad interpreter|No such file|not found|command not found)|Illegal option -\r"
        ),
        "a mounted script has Windows line ends (CRLF): save it with LF",
    ),
    (re.compile(r"exec format error"), "the image is for another processor: set `platform` in the compose file"),
    (
        re.compile(r"No space left on device", re.IGNORECASE),
        "the disk of the Docker engine is full: `docker system df`",
    ),
)
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
DATABASE_GONE = "no usable database connection found"
_EMPTY = re.compile(r'unable to read DB schema version.*relation "schema_version" does not exist')  # the server's words


def exit_reason(seen: Seen, code: int) -> str:
    """How a container ended: `killed (137, SIGKILL)`, `out of memory ...`, `exit code 1`."""
    if seen.oom:
        limit = f": its limit is {seen.memory / 2**20:.0f} MB (mem_limit)" if seen.memory else ""
        return f"out of memory, killed by the kernel (exit code {code}){limit}"
    signal = _SIGNALS.get(code)
    return f"killed by {signal} (exit code {code})" if signal else f"exit code {code}"


def cause(lines: Sequence[str]) -> str:
    """The cause that a retry cannot mend, as a sentence with its remedy, or an empty string."""
    for line in reversed(lines[-30:]):
        for pattern, sentence in _CAUSES:
            if found := pattern.search(line):
                return sentence.format(*found.groups())
    return ""


def words(lines: Sequence[str]) -> str:
    """The line that most likely says why; the server's own last line points at the database only."""
    if any(_EMPTY.search(line) for line in lines):
        return "its database is empty: `mika up` sets it up again"
    if any(DATABASE_GONE in line for line in lines):  # at the end of a dump that is too long to be shown
        return f"{DATABASE_GONE} (see the log of its database)"
    return last_words([_ESCAPE.sub("", line) for line in lines])


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


def engine_words(text: str) -> str:
    """An error of the engine as a sentence: known ones with their remedy."""
    if found := _NAME.search(text):
        return f"the container name {found[1]} is taken by another container: `docker rm {found[1]}`, or rename it"
    low = text.lower()
    known = (
        ("no space left on device", "the disk of the Docker engine is full: `docker system prune` frees some"),
        ("cannot start a paused container", "its container is paused: `docker unpause` it"),
        ("non-overlapping ipv4 address pool", "Docker has no free network left: `docker network prune`"),
        ("mounts denied", "Docker Desktop does not share this folder: Settings, Resources, File sharing"),
        ("error while creating mount source path", "a folder of `volumes` cannot be made there"),
        ("all predefined address pools", "Docker has no free network left: `docker network prune`"),
    )
    told = next((f"{sentence} ({_brief(text)})" for mark, sentence in known if mark in low), None)
    return told or _brief(text)


def _brief(text: str) -> str:
    return _LOG_PREFIX.sub("", " ".join(text.split()))[:300]


def compose_failure(output: str, containers: Sequence[Seen]) -> Failure:
    """Who is to blame for a failed `compose up`, by its output and by what the engine keeps of each container."""
    for seen in containers:
        if seen.state == "created" and seen.error:
            return Failure(seen.service, seen.error)
    if found := _ONE_SHOT.search(output):
        return Failure(found[1], found[0], told_by_service=True)
    if found := _UNHEALTHY.search(output):
        service = next((seen.service for seen in containers if seen.name == found[1]), "")
        return Failure(service, found[0], told_by_service=bool(service) and found[2] is not None)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "rror" in line or "failed" in line] or lines[-1:] or ["no word of why"]
    mentioned = [seen.service for seen in containers if f"Container {seen.name} " in errors[-1]]
    return Failure(mentioned[0] if mentioned else "", errors[-1])


def pull_failure(image: str, text: str) -> str:
    """Why an image could not be had, with what to do."""
    low = text.lower()
    name = f"the image {image} cannot be pulled"
    if "toomanyrequests" in low or "429" in low or "rate limit" in low:
        return f"{name}: its registry answers 429, too many requests: `docker login` raises the limit, or wait"
    if "no space left on device" in low:
        return f"{name}: the disk of the Docker engine is full: `docker system prune` frees some"
    if "no matching manifest" in low:
        return f"{name}: it is not made for this processor: set `platform` in the compose file"
    if "manifest unknown" in low or "not found: manifest" in low or "manifest for" in low:
        return f"{name}: there is no such tag: correct it in the compose file or in .env"
    if "access denied" in low or "unauthorized" in low or "authentication required" in low or "denied" in low:
        return f"{name}: there is no such image, or it wants a login: correct its name, or `docker login`"
    if any(sign in low for sign in ("no such host", "dial tcp", "i/o timeout", "tls handshake", "eof", "proxyconnect")):
        return f"{name}: its registry cannot be reached ({_brief(text)}): go online, or load it with `docker load`"
    return f"{name}: {_brief(text)}"
