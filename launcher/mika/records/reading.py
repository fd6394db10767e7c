"""Read a line of a log: JSON (structlog, zap, slog, pino, …), logfmt, Python's logging, uvicorn, the SDK's Rust core.

What is in no known format is nobody's guess: `read` returns None, and the line stays as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from mika.records.record import Level, Record, level_of, time_of
from mika.text import plain

_LONGEST = 64 * 1024  # characters of a line that is read
_TIMES = ("timestamp", "time", "ts", "@timestamp", "asctime", "t", "datetime")
_LEVELS = ("level", "levelname", "severity", "lvl", "log.level", "loglevel")
_MESSAGES = ("event", "msg", "message")
_TRACES = ("exception", "stack", "stacktrace", "exc_info", "stack_info", "traceback", "error.stack", "err.stack")
_OF_THE_PROCESS = frozenset({"pid", "hostname", "v", "process", "processName", "thread", "threadName"})
"""Fields that say nothing in the window of one machine, where each line has the name of its process."""
_PINO = {10: Level.TRACE, 20: Level.DEBUG, 30: Level.INFO, 40: Level.WARNING, 50: Level.ERROR, 60: Level.FATAL}

_DATE = r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|[+-]\d\d:?\d\d))?"
_LEVEL = (
    r"TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL"
    r"|trace|debug|info|notice|warn|warning|error|critical|fatal"
)
_TEXT_FORMATS = (
    # uvicorn: `INFO:     Started server process`; Python's default: `WARNING:root:text`
    re.compile(rf"(?P<level>{_LEVEL}):(?:\s{{1,10}}|(?P<logger>[\w.]+):)(?P<message>.*)"),
    # celery: `[2026-11-28 03:30:18,123: INFO/MainProcess] text`
    re.compile(rf"\[(?P<time>{_DATE}): (?P<level>{_LEVEL})/[\w-]+\] (?P<message>.*)"),
    # gunicorn: `[2026-11-28 03:30:18 +0000] [123] [INFO] text`
    re.compile(rf"\[(?P<time>{_DATE})\] \[\d+\] \[(?P<level>{_LEVEL})\] (?P<message>.*)"),
    # the SDK's Rust core: `2026-11-28T03:30:18.123456Z  WARN temporalio_sdk_core::worker: text`
    re.compile(rf"(?P<time>{_DATE})\s+(?P<level>{_LEVEL})\s+(?P<logger>\w+(?:::\w+)+)(?:\{{.*?\}})?: (?P<message>.*)"),
    # `2026-11-28 03:30:18,123 - name - INFO - text`, as Python's documentation shows it
    re.compile(rf"(?P<time>{_DATE}) - (?P<logger>[\w.]+) - (?P<level>{_LEVEL}) - (?P<message>.*)"),
    # zap's console: `2026-11-28T03:30:18.123Z<tab>INFO<tab>main.go:12<tab>text`
    re.compile(rf"(?P<time>{_DATE})\t(?P<level>{_LEVEL})\t(?P<message>.*)"),
    # `2026/11/28 03:30:18 INFO text` (Go's slog), `[2026-11-28 03:30:18] [INFO] name: text` and the like
    re.compile(rf"\[?(?P<time>{_DATE})\]?[ |:-]{{1,3}}\[?(?P<level>{_LEVEL})\]?[ |:-]{{1,6}}(?P<message>.*)"),
    # `2026-11-28 03:30:18 text`: a clock, but no level
    re.compile(rf"\[?(?P<time>{_DATE})\]?[ |:-]{{1,3}}(?P<message>.*)"),
)
_MAY_BE_TEXT_FORMAT = re.compile(rf"\[?(?:\d{{4}}[-/]|{_LEVEL})")
"""How each of them begins: of most lines, that is all that has to be looked at."""
_LOGFMT = re.compile(r'([\w.@-]{1,100})=("(?:[^"\\]|\\.)*"|[^\s"]*)(?:\s+|$)')
_ACCESS = re.compile(
    r'(?P<client>\S{1,64}) - "(?P<method>[A-Z]{3,10}) (?P<path>\S+) HTTP/[\d.]+" (?P<status>\d{3})\b.*'
)


def read(line: str) -> Record | None:
    """The line as a record; None for one in no known format."""
    if len(line) > _LONGEST:
        return None
    text = plain(line).strip()
    if text.startswith("{") and text.endswith("}"):
        return _from_json(text)
    if _MAY_BE_TEXT_FORMAT.match(text):
        for pattern in _TEXT_FORMATS:
            if found := pattern.fullmatch(text):
                return _from_text(found.groupdict())
    return _from_logfmt(text)


def _from_json(text: str) -> Record | None:
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(decoded, dict):
        return None
    fields: dict[str, object] = {str(key): value for key, value in decoded.items()}
    message = _take(fields, _MESSAGES)
    if not isinstance(message, str):
        return None
    written_at, level = _take(fields, _TIMES), _take(fields, _LEVELS)
    trace = tuple(_trace_lines(fields))
    rest = tuple((key, _as_text(value)) for key, value in fields.items() if key not in _OF_THE_PROCESS)
    return Record(_access(message), time_of(written_at), _level(level), rest, trace)


def _from_text(found: Mapping[str, str | None]) -> Record:
    logger = found.get("logger")
    fields = () if logger is None or logger == "root" else (("logger", logger),)
    return Record(
        _access(found["message"] or ""), time_of(found.get("time")), level_of(found.get("level") or ""), fields
    )


def _from_logfmt(text: str) -> Record | None:
    """`time=… level=INFO msg="hello world" key=value`, as Go's slog and logrus write it."""
    if "=" not in text[:100]:
        return None
    fields: dict[str, object] = {}
    position = 0
    while position < len(text):
        found = _LOGFMT.match(text, position)
        if found is None:
            return None
        fields.setdefault(found[1], _unquoted(found[2]))
        position = found.end()
    message = _take(fields, _MESSAGES)
    if not isinstance(message, str):
        return None
    written_at, level = _take(fields, _TIMES), _take(fields, _LEVELS)
    return Record(
        message, time_of(written_at), _level(level), tuple((key, str(value)) for key, value in fields.items())
    )


def _take(fields: dict[str, object], names: tuple[str, ...]) -> object:
    """Remove and return the first of `names` that is there."""
    for name in names:
        if name in fields:
            return fields.pop(name)
    return None


def _level(value: object) -> Level | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return _PINO.get(value)
    return level_of(value) if isinstance(value, str) else None


def _trace_lines(fields: dict[str, object]) -> Iterator[str]:
    """Remove what is the text of an exception, and yield its lines."""
    for name in _TRACES:
        value = fields.get(name)
        if isinstance(value, str) and "\n" in value:
            del fields[name]
            yield from value.strip("\n").splitlines()
    for name in ("err", "error"):  # pino and its like: {"err": {"type": …, "message": …, "stack": …}}
        value = fields.get(name)
        if isinstance(value, dict) and isinstance(value.get("stack"), str):
            del fields[name]
            yield from value["stack"].strip("\n").splitlines()


def _access(message: str) -> str:
    """Uvicorn's `127.0.0.1:51234 - "GET /path HTTP/1.1" 200 OK` as `GET /path 200`; other messages as they are."""
    found = _ACCESS.fullmatch(message) if ' - "' in message else None
    return f"{found['method']} {found['path']} {found['status']}" if found else message


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
