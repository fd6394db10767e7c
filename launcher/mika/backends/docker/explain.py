"""What went wrong with a container or with compose, and how to fix it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from mika.backends.docker.monitor import ContainerSnapshot
from mika.frozen import frozen
from mika.reason import NONE, Reason, Repair
from mika.supervisor.diagnose import find_error_line
from mika.wording import Text, _

_SIGNALS = {130: "SIGINT", 134: "SIGABRT", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}
KEEP_DATA = _("set the original password in .env to keep the data, or delete the data: `mika down --volumes`")


@frozen
class Failure:
    """Why compose failed. `service` is the one that caused it; empty if it cannot be blamed on a single one."""

    service: str
    reason: Reason
    is_shown_by_service: bool = False
    """The service has exited, and its own reason says more."""


def _other_password(user: str) -> Reason:
    text = _(
        "PostgreSQL refuses the password of '{user}': its volume keeps the password that it was created with", user=user
    )
    return Reason(text, KEEP_DATA)


def _other_version(old: str, new: str) -> Reason:
    fix = _(
        "set POSTGRES_IMAGE=postgres:{version} in .env to keep the data, or delete it: `mika down --volumes`",
        version=old,
    )
    return Reason(_("its volume was created by PostgreSQL {old}, and this is {new}", old=old, new=new), fix)


_DISK_FULL = _("the disk of the Docker engine is full")
# Lines of a container's log whose cause a restart does not remove: pattern, and the cause for its groups.
_CAUSES: tuple[tuple[re.Pattern[str], Callable[..., Reason]], ...] = (
    (re.compile(r"password authentication failed for user \"?([^\s\"\\]+)"), _other_password),
    (
        re.compile(r"initialized by PostgreSQL version (\d+), which is not compatible with this version (\d+)"),
        _other_version,
    ),
    (
        re.compile(
            r"(?:\^M|\\r|\r)['\"]?: (?:bad interpreter|No such file|not found|command not found)|Illegal option -\r"
        ),
        lambda: Reason(_("a mounted script has Windows line endings (CRLF)"), _("save it with LF")),
    ),
    (
        re.compile(r"exec format error"),
        lambda: Reason(_("the image is for another processor"), _("set `platform` in the compose file")),
    ),
    (
        re.compile(r"No space left on device", re.IGNORECASE),
        lambda: Reason(_DISK_FULL, _("`docker system df` shows what uses the space")),
    ),
)
_DATABASE_GONE = "no usable database connection found"  # Temporal's words
_EMPTY_DATABASE = re.compile(
    r'unable to read DB schema version.*relation "schema_version" does not exist'
)  # Temporal's words


def exit_reason(container: ContainerSnapshot, code: int) -> str:
    """Why a container has exited: `killed by SIGKILL (exit code 137)`, `out of memory ...`, `exit code 1`."""
    if container.oom:
        text = _("out of memory, killed by the kernel (exit code {code})", code=code)
        if not container.memory:
            return text
        return text + _(": its limit is {limit:.0f} MB (mem_limit)", limit=container.memory / 2**20)
    if signal := _SIGNALS.get(code):
        return _("killed by {signal} (exit code {code})", signal=signal, code=code)
    return _("exit code {code}", code=code)


def lasting_cause(lines: Sequence[str]) -> Reason:
    """The cause that a restart cannot fix, or NONE."""
    for line in reversed(lines[-30:]):
        for pattern, cause in _CAUSES:
            if match := pattern.search(line):
                return cause(*match.groups())
    return NONE


def has_lost_its_database(lines: Sequence[str]) -> bool:
    """Whether Temporal says that it cannot reach its database. It says no more, and in a line too long to be shown."""
    return any(_DATABASE_GONE in line for line in lines)


def last_reason(lines: Sequence[str]) -> Reason:
    """The line that most likely says why. Temporal's own last line only mentions the database."""
    if any(_EMPTY_DATABASE.search(line) for line in lines):
        return Reason(_("its database is empty"), _("`mika up` sets it up again"), Repair("up"))
    if has_lost_its_database(lines):
        return Reason(_("{error} (see the log of its database)", error=_DATABASE_GONE))
    return Reason(find_error_line(lines))


_PORT = re.compile(r"(?:Bind for|listen tcp[46]?|exposing port TCP) \S*?:(\d+)\b")
_ONE_SHOT = re.compile(r"service \"([^\"]+)\" didn't complete successfully")
_UNHEALTHY = re.compile(r"dependency failed to start: container (\S+) (?:is unhealthy|exited \((\d+)\))")
_NAME = re.compile(r"container name \"/?([^\"]+)\" is already in use")
_LOG_PREFIX = re.compile(r"^(time=\S+ )?(level=\S+ )?(Error response from daemon: )?")


def port_of(text: str) -> int | None:
    """The port that could not be published because it is taken."""
    is_taken = "already allocated" in text or "address already in use" in text or "forbidden by its access" in text
    match = _PORT.search(text)
    return int(match[1]) if is_taken and match else None


_FREE_SPACE = _("`docker system prune` frees some")
_NO_NETWORK = _("Docker has no free network left")
_ENGINE_ERRORS = (
    ("no space left on device", _DISK_FULL, _FREE_SPACE),
    ("cannot start a paused container", _("its container is paused"), _("`docker unpause` it")),
    (
        "mounts denied",
        _("Docker Desktop does not share this folder"),
        _("add it in Settings, Resources, File sharing"),
    ),
    ("error while creating mount source path", _("a folder in `volumes` could not be created"), ""),
    ("non-overlapping ipv4 address pool", _NO_NETWORK, "`docker network prune`"),
    ("all predefined address pools", _NO_NETWORK, "`docker network prune`"),
)
"""What the engine's error contains (in lower case), what it means, and the fix."""


def engine_reason(text: str) -> Reason:
    """What the engine's error means; the engine's own words if mika does not know it."""
    if match := _NAME.search(text):
        return Reason(
            _("the container name {name} is taken by another container", name=match[1]),
            _("`docker rm {name}`, or rename it", name=match[1]),
        )
    for mark, meaning, fix in _ENGINE_ERRORS:
        if mark in text.lower():
            return Reason(_("{meaning} ({error})", meaning=meaning, error=_brief(text)), fix)
    return Reason(_brief(text))


def _brief(text: str) -> str:
    if isinstance(text, Text):  # mika's own words
        return text
    return _LOG_PREFIX.sub("", " ".join(text.split()))[:300]


def compose_failure(output: str, containers: Sequence[ContainerSnapshot]) -> Failure:
    """Which service made `compose up` fail, judged by its output and the state of each container."""
    for container in containers:
        if container.state == "created" and container.error:
            return Failure(container.service, Reason(container.error))
    if match := _ONE_SHOT.search(output):
        return Failure(match[1], Reason(match[0]), is_shown_by_service=True)
    if match := _UNHEALTHY.search(output):
        service = next((container.service for container in containers if container.name == match[1]), "")
        return Failure(service, Reason(match[0]), is_shown_by_service=bool(service) and match[2] is not None)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "rror" in line or "failed" in line] or lines[-1:]
    if not errors:
        return Failure("", Reason(_("compose does not say why")))
    mentioned = [container.service for container in containers if f"Container {container.name} " in errors[-1]]
    return Failure(mentioned[0] if mentioned else "", Reason(errors[-1]))


_PULL_ERRORS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("toomanyrequests", "429", "rate limit"),
        _("its registry answers 429 (too many requests)"),
        _("wait, or raise the limit with `docker login`"),
    ),
    (("no space left on device",), _DISK_FULL, _FREE_SPACE),
    (
        ("no matching manifest",),
        _("it was not built for this processor"),
        _("set `platform` in the compose file"),
    ),
    (
        ("manifest unknown", "not found: manifest", "manifest for"),
        _("the tag does not exist"),
        _("correct it in the compose file or in .env"),
    ),
    (
        ("access denied", "unauthorized", "authentication required", "denied"),
        _("the image does not exist, or needs a login"),
        _("correct its name, or `docker login`"),
    ),
)
"""What the registry's answer contains (in lower case), what it means, and the fix. The first match counts."""
_UNREACHABLE = ("no such host", "dial tcp", "i/o timeout", "tls handshake", "eof", "proxyconnect")


def pull_failure(image: str, text: str) -> Reason:
    """Why an image could not be pulled, and what to do."""
    lower_text = text.lower()
    cause, fix = next(
        ((meaning, fix) for marks, meaning, fix in _PULL_ERRORS if any(mark in lower_text for mark in marks)),
        (_brief(text), ""),
    )
    if not fix and any(mark in lower_text for mark in _UNREACHABLE):
        cause = _("its registry cannot be reached ({error})", error=cause)
        fix = _("go online, or `docker load` it")
    return Reason(_("the image {image} could not be pulled: {cause}", image=image, cause=cause), fix)
