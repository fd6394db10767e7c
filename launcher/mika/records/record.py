"""A line of a log as data."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import NamedTuple

_SECONDS = 10_000_000_000.0
"""Numbers above are not seconds since 1970 (that would be the year 2286), but milliseconds, or nanoseconds."""
_MILLISECONDS = 1000 * _SECONDS
_POINTS = frozenset(".,")
_LONGEST = 40  # characters of a time
_LATEST = 9_000_000_000.0  # s; later ones (the year 2255) have no date everywhere


class Level(IntEnum):
    """In the order of how serious they are. The numbers are those of Python's `logging`."""

    TRACE = 5
    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40
    FATAL = 50

    __hash__ = int.__hash__  # an enum's own one is not in C, and each line asks for it


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


class Record(NamedTuple):
    """`message` is what happened; `written_at` is its time, in whatever form; `trace` has the lines of an exception.

    `names` and `values` are the other fields: lines of one kind have the same names.
    """

    message: str
    written_at: object
    level: Level | None
    names: tuple[str, ...] = ()
    values: Sequence[str] = ()
    trace: tuple[str, ...] = ()

    @property
    def time(self) -> float | None:
        """In seconds since the epoch."""
        return time_of(self.written_at)

    @property
    def second(self) -> int | None:
        """The same without its fraction, at less cost: many lines have one second."""
        text = self.written_at
        if type(text) is str and len(text) <= 32 and text.isascii() and text[19:20] in _POINTS:
            if text[20:26].isdigit():
                return _second(f"{text[:20]}555555{text[26:]}") or _exact_second(text)
            if text[20:23].isdigit():
                return _second(f"{text[:20]}555{text[23:]}") or _exact_second(text)
        return _exact_second(text)


@functools.lru_cache(maxsize=100)
def level_of(name: str) -> Level | None:
    """The level that a program means by `name`, in whatever case."""
    return _NAMES.get(name.strip().lower())


def time_of(value: object) -> float | None:
    """A time as programs write it (a number, or ISO 8601) in seconds since the epoch.

    A time without a zone is taken for local time, as Python's and Go's loggers mean it.
    """
    if isinstance(value, str):
        seconds = _parsed(value) if len(value) <= _LONGEST else None
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = _time_of_number(float(value))
    else:
        return None
    return seconds if seconds is not None and 0 < seconds < _LATEST else None


def _time_of_number(seconds: float) -> float:
    if seconds > 1000 * _MILLISECONDS:
        return seconds / 1e9
    if seconds > _MILLISECONDS:
        return seconds / 1e6
    return seconds / 1e3 if seconds > _SECONDS else seconds


def _exact_second(value: object) -> int | None:
    seconds = time_of(value)
    return None if seconds is None else int(seconds)


_second = functools.lru_cache(maxsize=1000)(_exact_second)


def _parsed(text: str) -> float | None:
    try:
        text = text.strip().replace(",", ".").replace("/", "-")
        return datetime.fromisoformat(_microseconds(text)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


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
