"""The options of `[process.NAME]`, for one process of the Procfile."""

from __future__ import annotations

import math
import re
import sys
from collections import defaultdict
from dataclasses import field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, get_args

from mika.config.references import fill_in
from mika.config.settings import LONGEST_S, parse_http_url, parse_port, printable
from mika.errors import UsageError
from mika.frozen import frozen
from mika.status import Condition
from mika.text import did_you_mean
from mika.wording import Text, _, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from mika.config.sources import TomlTable

Restart = Literal["always", "on-failure", "never"]
Stdin = Literal["closed", "open"]
# Names rather than numbers, because SIGBREAK and SIGQUIT each exist on one platform only, and one file is for both.
STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGBREAK")
LARGEST_COUNT = 64
_READY_FORMS = _("worker:QUEUE[/activity|/workflow], http://… [STATUS], tcp:PORT, log:REGEX, exec:COMMAND or none")
_AND = re.compile(r",\s*(?=worker:)")
_STATUS = re.compile(r"[1-5](\d\d|xx)|any")
TASK_TYPES = ("activity", "workflow")
CONDITIONS: tuple[Condition, ...] = get_args(Condition)


class Ready(NamedTuple):
    """A parsed `ready`. `target` is the queue, the URL, the port, the regular expression or the command line."""

    kind: Literal["worker", "http", "tcp", "log", "exec", "none"]
    target: str
    status: str = "2xx"
    """What an HTTP answer must have: `204`, `4xx`, or `any`."""
    others: tuple[Ready, ...] = ()
    """The rules for the further queues of a worker that polls several."""

    @property
    def queue(self) -> str:
        """The task queue that a worker polls."""
        queue, _, task_type = self.target.rpartition("/")
        return queue if task_type in TASK_TYPES and queue else self.target

    @property
    def queues(self) -> tuple[str, ...]:
        """The task queues that it names: none unless it is a worker's."""
        return tuple(rule.queue for rule in (self, *self.others)) if self.kind == "worker" else ()

    @property
    def task_type(self) -> str:
        """The only type of tasks that the worker takes; empty if the rule names none."""
        return self.target[len(self.queue) + 1 :]


class Need(NamedTuple):
    """A name from `needs`. If `condition` is None, the stack decides."""

    name: str
    condition: Condition | None = None


@frozen
class ProcessOptions:
    """How a process is run. Times are in seconds.

    If `needs` or `watch` is None, the stack decides; without a `hang_timeout`, MIKA_HANG_TIMEOUT does. A
    `ready_timeout` of 0 is none.
    """

    restart: Restart = "always"
    ready: str = "none"
    grace: float = 10.0
    stop_signal: str = "SIGINT"
    count: int = 1
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    cwd: str | None = None
    needs: tuple[Need, ...] | None = None
    early: bool = False
    watch: tuple[str, ...] | None = None
    ends: bool = False
    stdin: Stdin = "closed"
    ready_timeout: float = 0.0
    hang_timeout: float | None = None
    max_restarts: int = 7
    check: bool = True


def rules_of(ready: str) -> list[str]:
    """Each `worker:QUEUE` of a worker that polls several; else the only rule."""
    return _AND.split(ready) if ready.startswith("worker:") else [ready]


def parse_ready(text: str) -> Ready:
    """Raises ValueError that says what is wrong."""
    if text.startswith(("http://", "https://")):
        url, separator, status = text.partition(" ")
        if separator and not _STATUS.fullmatch(status.strip()):
            raise ValueError(
                _("has '{value}' for a status; give one such as 204, 4xx or any", value=printable(status.strip()))
            )
        return Ready("http", parse_http_url(url), status.strip() or Ready("http", "").status)
    first, *others = rules_of(text)
    if others:
        return parse_ready(first)._replace(others=tuple(map(parse_ready, others)))
    kind, separator, target = text.partition(":")
    if kind == "none" and not separator:
        return Ready("none", "")
    if not target.strip() and (separator or kind in ("worker", "tcp", "log", "exec")):
        raise ValueError(_("has nothing after '{kind}:'", kind=kind))
    match kind:
        case "worker":
            return Ready("worker", target.strip())
        case "tcp":
            return Ready("tcp", str(parse_port(target.strip())))
        case "log":
            try:
                re.compile(target)
            except (re.error, RecursionError, OverflowError) as error:
                raise ValueError(_("is not a regular expression ({error})", error=error)) from error
            return Ready("log", target)
        case "exec":
            return Ready("exec", target.strip())
    raise ValueError(_("has an unknown form"))


def read_processes(source: TomlTable, project: Path) -> dict[str, dict[str, Any]]:
    """The options that are given in each `[process.NAME]` table, after a check. Raises UsageError."""
    tables = source.values.get("process", {})
    if not isinstance(tables, dict):
        raise UsageError(
            _(
                "{where}: '{name}' must be tables; write [process.NAME] above its keys",
                where=source.where("process"),
                name="process",
            )
        )
    return {name: _read_table(source, name, table, project) for name, table in tables.items()}


def _read_table(source: TomlTable, name: str, table: object, project: Path) -> dict[str, Any]:
    if not isinstance(table, dict):
        where = source.where("process", name)
        raise UsageError(
            _(
                "{where}: '{name}' must be a table; write [process.NAME] above its keys",
                where=where,
                name=printable(name),
            )
        )
    options: dict[str, Any] = {}
    for key, value in table.items():
        where = source.where("process", name, key)
        parse = _PARSERS.get(key)
        if parse is None:
            raise unknown_key(where, key, f"process.{printable(name)}", _PARSERS)
        try:
            options[key] = parse(value)
        except ValueError as error:
            raise UsageError(_("{where}: '{key}' {problem}", where=where, key=key, problem=error)) from error
        if key == "cwd" and not (project / value).is_dir():
            if not value.isprintable():
                raise UsageError(
                    _(
                        "{where}: 'cwd' is '{value}': a \\ in double quotes begins an escape;"
                        " write the path in single quotes, or with /",
                        where=where,
                        value=printable(value),
                    )
                )
            raise UsageError(
                _(
                    "{where}: 'cwd' is '{value}', a folder that does not exist in {project}; create it",
                    where=where,
                    value=printable(value),
                    project=project,
                )
            )
    return options


def unknown_key(where: str, key: str, table: str, known: Collection[str]) -> UsageError:
    """The error for a key that `[table]` does not have."""
    return UsageError(
        _(
            "{where}: unknown key '{key}' in [{table}]{suggestion} (known: {keys})",
            where=where,
            key=printable(key),
            table=table,
            suggestion=did_you_mean(key, known),
            keys=listed(known),
        )
    )


def make_options(given: Mapping[str, Any], where: str) -> ProcessOptions:
    """The options of one process, from all files together. Raises UsageError if they contradict each other."""
    if not given.get("ends"):
        return ProcessOptions(**given)
    if given.get("restart", "never") != "never":
        raise UsageError(
            _("{where}: 'ends' is for a process that runs once; remove 'restart', or give \"never\"", where=where)
        )
    return ProcessOptions(**{**given, "restart": "never"})


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(_("must be a string, not {type}; put it in quotes", type=toml_type(value)))  # noqa: TRY004 - one error for a bad value
    if not value or "\0" in value:
        raise ValueError(_("is empty; give a value, or remove it"))
    return value


def _one_of(choices: tuple[str, ...]) -> Callable[[object], str]:
    def parse(value: object) -> str:
        text = _text(value)
        if text not in choices:
            raise ValueError(
                _(
                    "is '{value}'{suggestion}; give one of {names}",
                    value=printable(text),
                    suggestion=did_you_mean(text, choices),
                    names=listed(choices),
                )
            )
        return text

    return parse


def _ready(value: object) -> str:
    if isinstance(value, list):
        if not value or not all(isinstance(item, str) and item.startswith("worker:") for item in value):
            raise ValueError(_('must have a `worker:QUEUE` for each queue, such as ["worker:orders", "worker:mail"]'))
        value = ", ".join(value)
    text = _text(value)
    try:
        # The variables are known later; a number is good for any of them.
        parse_ready(fill_in(text, defaultdict(lambda: "1")))
    except ValueError as error:
        raise ValueError(
            _(
                "is '{value}', which {problem}; give {expected}",
                value=printable(text),
                problem=error,
                expected=_READY_FORMS,
            )
        ) from error
    return text


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(_("must be a number of seconds, not {type}", type=toml_type(value)))  # noqa: TRY004 - one error for a bad value
    if not math.isfinite(value) or not 0 <= value <= LONGEST_S:
        raise ValueError(
            _("is {value}; give a number of seconds from 0 to {longest:.0f}", value=value, longest=LONGEST_S)
        )
    return float(value)


def _grace(value: object) -> float:
    seconds = _seconds(value)
    if not seconds:
        raise ValueError(_("is {value}; give a number of seconds greater than 0, such as 10", value=value))
    return seconds


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(_("must be a whole number, not {type}", type=toml_type(value)))  # noqa: TRY004 - one error for a bad value
    if not 0 <= value <= LARGEST_COUNT:
        raise ValueError(_("is {value}; give a whole number from 0 to {largest}", value=value, largest=LARGEST_COUNT))
    return value


def _env(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise ValueError(_('must be a table, not {type}; write {{ NAME = "value" }}', type=toml_type(value)))  # noqa: TRY004 - one error for a bad value
    for name, item in value.items():
        if not name or "=" in name or "\0" in name:
            raise ValueError(_("contains '{name}', which is not a variable name", name=printable(name)))
        if not isinstance(item, str):
            raise ValueError(  # noqa: TRY004 - one error for a bad value
                _(
                    "contains {name}, which must be a string, not {type}; put it in quotes",
                    name=name,
                    type=toml_type(item),
                )
            )
        if "\0" in item:
            raise ValueError(_("contains {name}, which has a NUL character; remove it", name=name))
    return MappingProxyType(cast("dict[str, str]", value))


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(_("must be true or false, not {type}", type=toml_type(value)))  # noqa: TRY004 - one error for a bad value
    return value


def _texts(problem: Text) -> Callable[[object], tuple[str, ...]]:
    def parse(value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise ValueError(problem)
        return tuple(value)

    return parse


def _patterns(value: object, platform: str = sys.platform) -> tuple[str, ...]:
    patterns = _texts(_('must be a list of patterns, such as ["src/api/**/*.py"]'))(value)
    wrong = next((one for one in patterns if "\\" in one and platform == "win32"), None)
    if wrong:  # to a pattern it is an escape; no name has one there
        raise ValueError(_("contains '{pattern}', which fits no file; write / instead of \\", pattern=printable(wrong)))
    return patterns


_names = _texts(_('must be a list of names, such as ["temporal", "migrate:completed"]'))


def _needs(value: object) -> tuple[Need, ...]:
    needs = []
    for text in _names(value):
        name, separator, condition = text.partition(":")
        if separator and condition not in CONDITIONS:
            raise ValueError(
                _(
                    "contains '{value}'{suggestion}; after the colon, give one of {names}",
                    value=printable(text),
                    suggestion=did_you_mean(condition, CONDITIONS),
                    names=listed(CONDITIONS),
                )
            )
        needs.append(Need(name, cast("Condition", condition) if separator else None))
    return tuple(needs)


def toml_type(value: object) -> str:
    """What TOML calls the type of a value."""
    names = {
        bool: _("a boolean"),
        int: _("a whole number"),
        float: _("a number"),
        str: _("a string"),
        list: _("a list"),
        dict: _("a table"),
    }
    return names.get(type(value), _("a date or time"))


_PARSERS: dict[str, Callable[[object], object]] = {
    "restart": _one_of(get_args(Restart)),
    "ready": _ready,
    "grace": _grace,
    "stop_signal": _one_of(STOP_SIGNALS),
    "count": _count,
    "env": _env,
    "cwd": _text,
    "needs": _needs,
    "early": _flag,
    "watch": _patterns,
    "ends": _flag,
    "stdin": _one_of(get_args(Stdin)),
    "ready_timeout": _seconds,
    "hang_timeout": _seconds,
    "max_restarts": _count,
    "check": _flag,
}
