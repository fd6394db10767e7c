"""Read a line of a log: JSON (structlog, zap, slog, pino, …), logfmt, Python's logging, uvicorn, the SDK's Rust core.

What is in no known format is nobody's guess: `read` returns None, and the line stays as it is.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from mika.records.record import Level, Record, level_of
from mika.text import plain

LONGEST = 64 * 1024  # characters of a line that is read
_TIMES = ("timestamp", "time", "ts", "@timestamp", "asctime", "t", "datetime")
_LEVEL_NAMES = ("level", "levelname", "severity", "lvl", "log.level", "loglevel")
_MESSAGES = ("event", "msg", "message")
_TRACES = ("exception", "stack", "stacktrace", "exc_info", "stack_info", "traceback", "error.stack", "err.stack")
_ERRORS = ("err", "error")  # pino and its like: {"err": {"type": …, "message": …, "stack": …}}
OF_THE_PROCESS = frozenset({"pid", "hostname", "v", "process", "processName", "thread", "threadName"})
"""Fields that say nothing in the window of one machine, where each line has the name of its process."""
_PINO = {10: Level.TRACE, 20: Level.DEBUG, 30: Level.INFO, 40: Level.WARNING, 50: Level.ERROR, 60: Level.FATAL}

_DATE = r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|[+-]\d\d:?\d\d))?"
LEVELS = (
    r"TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL"
    r"|trace|debug|info|notice|warn|warning|error|critical|fatal"
)
_JSON = json.JSONDecoder()


def _format(pattern: str) -> re.Pattern[str]:
    """With a group for each part; those that it does not have are never found."""
    groups = (f"(?P<{part}>" for part in ("message", "time", "level", "logger"))
    return re.compile(pattern + "".join(f"(?:{group}(?!)))?" for group in groups if group not in pattern))


# uvicorn: `INFO:     Started server process`; Python's default: `WARNING:root:text`
_BEGUN_BY_LEVEL = (_format(rf"(?P<level>{LEVELS}):(?:\s{{1,10}}|(?P<logger>[\w.]+):)(?P<message>.*)"),)
_BEGUN_BY_ANY = (
    # `2026/11/28 03:30:18 INFO text` (Go's slog), `[2026-11-28 03:30:18] [INFO] name: text` and the like
    _format(rf"\[?(?P<time>{_DATE})\]?[ |:-]{{1,3}}\[?(?P<level>{LEVELS})\]?[ |:-]{{1,6}}(?P<message>.*)"),
    # `2026-11-28 03:30:18 text`: a clock, but no level
    _format(rf"\[?(?P<time>{_DATE})\]?[ |:-]{{1,3}}(?P<message>.*)"),
)
_BEGUN_BY_BRACKET = (
    # celery: `[2026-11-28 03:30:18,123: INFO/MainProcess] text`
    _format(rf"\[(?P<time>{_DATE}): (?P<level>{LEVELS})/[\w-]+\] (?P<message>.*)"),
    # gunicorn: `[2026-11-28 03:30:18 +0000] [123] [INFO] text`
    _format(rf"\[(?P<time>{_DATE})\] \[\d+\] \[(?P<level>{LEVELS})\] (?P<message>.*)"),
    *_BEGUN_BY_ANY,
)
_BEGUN_BY_DATE = (
    # `2026-11-28 03:30:18,123 - name - INFO - text`, as Python's documentation shows it
    _format(rf"(?P<time>{_DATE}) - (?P<logger>[\w.]+) - (?P<level>{LEVELS}) - (?P<message>.*)"),
    # the SDK's Rust core: `2026-11-28T03:30:18.123456Z  WARN temporalio_sdk_core::worker: text`
    _format(rf"(?P<time>{_DATE})\s+(?P<level>{LEVELS})\s+(?P<logger>\w+(?:::\w+)+)(?:\{{.*?\}})?: (?P<message>.*)"),
    # zap's console: `2026-11-28T03:30:18.123Z<tab>INFO<tab>main.go:12<tab>text`
    _format(rf"(?P<time>{_DATE})\t(?P<level>{LEVELS})\t(?P<message>.*)"),
    *_BEGUN_BY_ANY,
)
_INITIALS_OF_LEVELS = frozenset(name[0] for name in LEVELS.split("|"))
LOGFMT_PAIR = re.compile(r'([\w.@-]{1,100})=("(?:[^"\\]|\\.)*"|[^\s"]*)(?:\s+|$)')
LOGFMT = re.compile(rf"(?:{LOGFMT_PAIR.pattern})+")
_ACCESS = re.compile(r'\S{1,64} - "([A-Z]{3,10} \S+) HTTP/[\d.]+"( \d{3})\b.*')


def read(line: str) -> Record | None:
    """The line as a record; None for one in no known format."""
    if len(line) > LONGEST:
        return None
    text = (plain(line) if "\x1b" in line else line).strip()
    first = text[:1]
    if first == "{" and text[-1] == "}":
        return _from_json(text)
    for pattern in _formats(first):
        if found := pattern.fullmatch(text):
            message, time, level, logger = found.group("message", "time", "level", "logger")
            rest = ((), ()) if logger is None or logger == "root" else (("logger",), (logger,))
            return Record(_access(message), time, level_of(level or ""), *rest)
    return _from_logfmt(text)


def _formats(first: str) -> tuple[re.Pattern[str], ...]:
    """Those that may begin with this character."""
    if first in _INITIALS_OF_LEVELS:
        return _BEGUN_BY_LEVEL
    if first.isdecimal():
        return _BEGUN_BY_DATE
    return _BEGUN_BY_BRACKET if first == "[" else ()


def _from_json(text: str) -> Record | None:
    try:
        fields, end = _JSON.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    keys = keys_of(tuple(fields), OF_THE_PROCESS)
    if end != len(text) or keys is None or type(message := fields[keys.message]) is not str:
        return None
    trace: tuple[str, ...] = ()
    names = keys.others
    if keys.may_have_trace:
        trace = tuple(_trace_lines(fields))
        names = tuple(name for name in names if name in fields)
    values = [value if type(value := fields[name]) is str else _as_text(value) for name in names]
    return Record(_access(message), fields.get(keys.time), _level(fields.get(keys.level)), names, values, trace)


def _from_logfmt(text: str) -> Record | None:
    """`time=… level=INFO msg="hello world" key=value`, as Go's slog and logrus write it."""
    if "=" not in text[:100] or not LOGFMT.fullmatch(text):
        return None
    fields: dict[str | None, str] = {}
    for name, value in LOGFMT_PAIR.findall(text):
        if name not in fields:
            fields[name] = _unquoted(value)
    keys = keys_of(tuple(fields))
    if keys is None:
        return None
    level = level_of(fields.get(keys.level, ""))
    return Record(
        fields[keys.message], fields.get(keys.time), level, keys.others, [fields[name] for name in keys.others]
    )


class Keys(NamedTuple):
    """Which fields are the message, the time and the level."""

    message: str
    time: str | None
    level: str | None
    others: tuple[str, ...]
    may_have_trace: bool


@functools.lru_cache(maxsize=250)
def keys_of(names: tuple[str, ...], left_out: frozenset[str] = frozenset()) -> Keys | None:
    """Of a record whose fields have these names; None without a message. Most lines have the fields of one before."""
    message, time, level = (
        next((name for name in known if name in names), None) for known in (_MESSAGES, _TIMES, _LEVEL_NAMES)
    )
    if message is None:
        return None
    others = tuple(name for name in names if name not in (message, time, level) and name not in left_out)
    return Keys(message, time, level, others, any(name in others for name in (*_TRACES, *_ERRORS)))


def _level(value: object) -> Level | None:
    if isinstance(value, str):
        return level_of(value)
    return _PINO.get(value) if type(value) is int else None


def level_of_number(text: str) -> Level | None:
    """As pino writes them."""
    return _PINO.get(int(text))


def _trace_lines(fields: dict[str | None, Any]) -> Iterator[str]:
    """Remove what is the text of an exception, and yield its lines."""
    for name in _TRACES:
        value = fields.get(name)
        if isinstance(value, str) and "\n" in value:
            del fields[name]
            yield from value.strip("\n").splitlines()
    for name in _ERRORS:
        value = fields.get(name)
        if isinstance(value, dict) and isinstance(value.get("stack"), str):
            del fields[name]
            yield from value["stack"].strip("\n").splitlines()


def _access(message: str) -> str:
    """Uvicorn's `127.0.0.1:51234 - "GET /path HTTP/1.1" 200 OK` as `GET /path 200`; other messages as they are."""
    found = _ACCESS.fullmatch(message) if ' - "' in message else None
    return "".join(found.groups()) if found else message


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    return str(value) if type(value) is int else json.dumps(value, ensure_ascii=False)


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value[1:-1]
