"""The options of `[process.NAME]`, for one process of the Procfile."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass, field
from string import Template
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, get_args

from mika.address import reachable_url
from mika.config.settings import LONGEST_S, parse_http_url, parse_port, printable
from mika.errors import UsageError
from mika.status import Condition
from mika.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mika.config.sources import TomlTable

Restart = Literal["always", "on-failure", "never"]
Stdin = Literal["closed", "open"]
# Names rather than numbers, because SIGBREAK and SIGQUIT each exist on one platform only, and one file is for both.
STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGBREAK")
LARGEST_COUNT = 64
_READY_FORMS = "worker:QUEUE[/activity|/workflow], http://… [STATUS], tcp:PORT, log:REGEX, exec:COMMAND or none"
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


@dataclass(frozen=True)
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


def fill_in(ready: str, env: Mapping[str, str]) -> str:
    """The rule with its variables (`$API_PORT`) filled in. Raises ValueError for one that is not set.

    A regular expression and a command have `$` of their own. A web address is where to ask: at loopback, if the server
    listens on all interfaces (API_HOST=0.0.0.0).
    """
    if ready.startswith(("log:", "exec:")):
        return ready
    try:
        filled = Template(ready).substitute(env) if "$" in ready else ready
    except KeyError as error:
        raise ValueError(f"needs {error.args[0]}, which is not set") from None
    return reachable_url(filled) if filled.startswith(("http://", "https://")) else filled


def rules_of(ready: str) -> list[str]:
    """Each `worker:QUEUE` of a worker that polls several; else the only rule."""
    return _AND.split(ready) if ready.startswith("worker:") else [ready]


def parse_ready(text: str) -> Ready:
    """Raises ValueError that says what is wrong."""
    if text.startswith(("http://", "https://")):
        url, separator, status = text.partition(" ")
        if separator and not _STATUS.fullmatch(status.strip()):
            raise ValueError(f"has '{printable(status.strip())}' for a status; give one such as 204, 4xx or any")
        return Ready("http", parse_http_url(url), status.strip() or Ready("http", "").status)
    first, *others = rules_of(text)
    if others:
        return parse_ready(first)._replace(others=tuple(map(parse_ready, others)))
    kind, separator, target = text.partition(":")
    if kind == "none" and not separator:
        return Ready("none", "")
    if separator and not target.strip():
        raise ValueError(f"has nothing after '{kind}:'")
    match kind:
        case "worker":
            return Ready("worker", target.strip())
        case "tcp":
            return Ready("tcp", str(parse_port(target.strip())))
        case "log":
            try:
                re.compile(target)
            except (re.error, RecursionError, OverflowError) as error:
                raise ValueError(f"is not a regular expression ({error})") from error
            return Ready("log", target)
        case "exec":
            return Ready("exec", target.strip())
    raise ValueError("has an unknown form")


def read_processes(source: TomlTable, project: Path) -> dict[str, dict[str, Any]]:
    """The options that are given in each `[process.NAME]` table, after a check. Raises UsageError."""
    tables = source.values.get("process", {})
    if not isinstance(tables, dict):
        raise UsageError(f"{source.where('process')}: 'process' must be tables; write [process.NAME] above its keys")
    return {name: _read_table(source, name, table, project) for name, table in tables.items()}


def _read_table(source: TomlTable, name: str, table: object, project: Path) -> dict[str, Any]:
    if not isinstance(table, dict):
        where = source.where("process", name)
        raise UsageError(f"{where}: '{printable(name)}' must be a table; write [process.NAME] above its keys")
    options: dict[str, Any] = {}
    for key, value in table.items():
        where = source.where("process", name, key)
        parse = _PARSERS.get(key)
        if parse is None:
            raise UsageError(
                f"{where}: unknown key '{printable(key)}' in [process.{printable(name)}]{did_you_mean(key, _PARSERS)}"
                f" (known: {', '.join(_PARSERS)})"
            )
        try:
            options[key] = parse(value)
        except ValueError as error:
            raise UsageError(f"{where}: '{key}' {error}") from error
        if key == "cwd" and not (project / value).is_dir():
            raise UsageError(
                f"{where}: 'cwd' is '{printable(value)}', a folder that does not exist in {project}; create it"
            )
    return options


def make_options(given: Mapping[str, Any], where: str) -> ProcessOptions:
    """The options of one process, from all files together. Raises UsageError if they contradict each other."""
    if not given.get("ends"):
        return ProcessOptions(**given)
    if given.get("restart", "never") != "never":
        raise UsageError(f"{where}: 'ends' is for a process that runs once; remove 'restart', or give \"never\"")
    return ProcessOptions(**{**given, "restart": "never"})


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a string, not {toml_type(value)}; put it in quotes")  # noqa: TRY004 - one error for a bad value
    if not value or "\0" in value:
        raise ValueError("is empty; give a value, or remove it")
    return value


def _one_of(choices: tuple[str, ...]) -> Callable[[object], str]:
    def parse(value: object) -> str:
        text = _text(value)
        if text not in choices:
            raise ValueError(f"is '{printable(text)}'{did_you_mean(text, choices)}; give one of {', '.join(choices)}")
        return text

    return parse


def _ready(value: object) -> str:
    if isinstance(value, list):
        if not value or not all(isinstance(item, str) and item.startswith("worker:") for item in value):
            raise ValueError('must have a `worker:QUEUE` for each queue, such as ["worker:orders", "worker:mail"]')
        value = ", ".join(value)
    text = _text(value)
    try:
        # The variables are known later; a number is good for any of them.
        parse_ready(fill_in(text, defaultdict(lambda: "1")))
    except ValueError as error:
        raise ValueError(f"is '{printable(text)}', which {error}; give {_READY_FORMS}") from error
    return text


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"must be a number of seconds, not {toml_type(value)}")  # noqa: TRY004 - one error for a bad value
    if not math.isfinite(value) or not 0 <= value <= LONGEST_S:
        raise ValueError(f"is {value}; give a number of seconds from 0 to {LONGEST_S:.0f}")
    return float(value)


def _grace(value: object) -> float:
    seconds = _seconds(value)
    if not seconds:
        raise ValueError(f"is {value}; give a number of seconds greater than 0, such as 10")
    return seconds


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"must be a whole number, not {toml_type(value)}")  # noqa: TRY004 - one error for a bad value
    if not 0 <= value <= LARGEST_COUNT:
        raise ValueError(f"is {value}; give a whole number from 0 to {LARGEST_COUNT}")
    return value


def _env(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f'must be a table, not {toml_type(value)}; write {{ NAME = "value" }}')  # noqa: TRY004 - one error for a bad value
    for name, item in value.items():
        if not name or "=" in name or "\0" in name:
            raise ValueError(f"contains '{printable(name)}', which is not a variable name")
        if not isinstance(item, str):
            raise ValueError(f"contains {name}, which must be a string, not {toml_type(item)}; put it in quotes")  # noqa: TRY004 - one error for a bad value
        if "\0" in item:
            raise ValueError(f"contains {name}, which has a NUL character; remove it")
    return MappingProxyType(cast("dict[str, str]", value))


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {toml_type(value)}")  # noqa: TRY004 - one error for a bad value
    return value


def _texts(noun: str, example: str) -> Callable[[object], tuple[str, ...]]:
    def parse(value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise ValueError(f"must be a list of {noun}, such as {example}")
        return tuple(value)

    return parse


def _needs(value: object) -> tuple[Need, ...]:
    needs = []
    for text in _texts("names", '["temporal", "migrate:completed"]')(value):
        name, separator, condition = text.partition(":")
        if separator and condition not in CONDITIONS:
            raise ValueError(
                f"contains '{printable(text)}'{did_you_mean(condition, CONDITIONS)};"
                f" after the colon, give one of {', '.join(CONDITIONS)}"
            )
        needs.append(Need(name, cast("Condition", condition) if separator else None))
    return tuple(needs)


def toml_type(value: object) -> str:
    """What TOML calls the type of a value."""
    names = {
        bool: "a boolean",
        int: "a whole number",
        float: "a number",
        str: "a string",
        list: "a list",
        dict: "a table",
    }
    return names.get(type(value), "a date or time")


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
    "watch": _texts("patterns", '["src/api/**/*.py"]'),
    "ends": _flag,
    "stdin": _one_of(get_args(Stdin)),
    "ready_timeout": _seconds,
    "hang_timeout": _seconds,
    "max_restarts": _count,
    "check": _flag,
}
