"""Which lines of the logs a person wants to see now, and what is marked in them."""

from __future__ import annotations

import re

from mika.cli.language import shown
from mika.frozen import frozen
from mika.records.record import Level
from mika.wording import _

_ESCAPE = re.compile(r"(\x1b\[[0-9;:]*m)")
_ON, _OFF = "\x1b[7m", "\x1b[27m"  # reverse video: no colour, and readable on every background
_LEVELS = (None, Level.WARNING, Level.ERROR)


@frozen
class Selection:
    """`only`: the lines of one process; `level`: of this one or above; `find`: marked where it matches."""

    only: str = ""
    level: Level | None = None
    find: str = ""
    is_pretty: bool = True

    @property
    def next_level(self) -> Level | None:
        return _LEVELS[(_LEVELS.index(self.level) + 1) % len(_LEVELS)]

    @property
    def words(self) -> tuple[str, ...]:
        """What differs from all lines, for people."""
        only = _("only {name}", name=self.only) if self.only else ""
        level = _("{level} and above", level=self.level.name.lower()) if self.level is not None else ""
        find = f"/{self.find}" if self.find else ""
        return tuple(shown(part) for part in (only, level, find) if part)


def pattern_of(text: str) -> re.Pattern[str] | None:
    """What finds `text`, in upper or lower case; None for nothing to find."""
    return re.compile(re.escape(text), re.IGNORECASE) if text else None


def marked(text: str, pattern: re.Pattern[str]) -> str:
    """The text with its matches marked. Colours stay; a match is not found across a change of colour."""
    if "\x1b" not in text:
        return pattern.sub(_mark, text)
    pieces = _ESCAPE.split(text)
    pieces[::2] = [pattern.sub(_mark, piece) for piece in pieces[::2]]
    return "".join(pieces)


def _mark(found: re.Match[str]) -> str:
    return f"{_ON}{found[0]}{_OFF}"
