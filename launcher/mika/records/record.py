"""A line of a log as data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum

_SECONDS = 10_000_000_000.0
"""Numbers above are not seconds since 1970 (that would be the year 2286), but milliseconds, or nanoseconds."""
_MILLISECONDS = 1000 * _SECONDS
_LATEST = 9_000_000_000.0  # s; later ones (the year 2255) have no date everywhere


class Level(IntEnum):
    """In the order of how serious they are. The numbers are those of Python's `logging`."""

    TRACE = 5
    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40
    FATAL = 50


_NAMES = {
    "trace": Level.TRACE,
    "verbose": Level.TRACE,
    "debug": Level.DEBUG,
    "dbg": Level.DEBUG,
    "info": Level.INFO,
    "information": Level.INFO,
    "notice": Level.INFO,
    "warn": Level.WARNING,
    "warning": Level.WARNING,
    "error": Level.ERROR,
    "err": Level.ERROR,
    "exception": Level.ERROR,
    "critical": Level.FATAL,
    "fatal": Level.FATAL,
    "panic": Level.FATAL,
    "dpanic": Level.FATAL,
    "emergency": Level.FATAL,
    "alert": Level.FATAL,
}


@dataclass(frozen=True, slots=True)
class Record:
    """`message` is what happened; `time` is in seconds since the epoch; `trace` has the lines of an exception."""

    message: str
    time: float | None = None
    level: Level | None = None
    fields: tuple[tuple[str, str], ...] = ()
    trace: tuple[str, ...] = ()


def level_of(name: str) -> Level | None:
    """The level that a program means by `name`, in whatever case."""
    return _NAMES.get(name.strip().lower())


def time_of(value: object) -> float | None:
    """A time as programs write it (a number, or ISO 8601) in seconds since the epoch.

    A time without a zone is taken for local time, as Python's and Go's loggers mean it.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        seconds = float(value)
        if seconds > 1000 * _MILLISECONDS:
            seconds /= 1e9
        elif seconds > _MILLISECONDS:
            seconds /= 1e6
        elif seconds > _SECONDS:
            seconds /= 1e3
        return seconds if 0 < seconds < _LATEST else None
    if not isinstance(value, str) or len(value) > 40:
        return None
    text = value.strip().replace(",", ".").replace("/", "-")
    try:
        moment = datetime.fromisoformat(_microseconds(text))
        seconds = moment.timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return seconds if 0 < seconds < _LATEST else None


def local_clock(seconds: float) -> str:
    """`03:30:18`, in the time zone of this machine."""
    return f"{datetime.fromtimestamp(seconds, UTC).astimezone():%H:%M:%S}"


def _microseconds(text: str) -> str:
    """With six digits after the point at most: Go and Rust write nine, which `fromisoformat` refuses."""
    head, point, rest = text.partition(".")
    if not point:
        return text
    digits = len(rest) - len(rest.lstrip("0123456789"))
    return f"{head}.{rest[: min(digits, 6)]}{rest[digits:]}"
