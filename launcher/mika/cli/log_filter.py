"""Which lines `mika logs` shows: by text, by level, by workflow, by time."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mika.errors import UsageError
from mika.project import logs
from mika.project.event_log import in_english
from mika.records.record import Level, level_of
from mika.text import did_you_mean, plain
from mika.wording import _, listed

if TYPE_CHECKING:
    from mika.project.log_search import Naming

_LEVELS = ("trace", "debug", "info", "warning", "error", "fatal")


@dataclass(slots=True)
class LogFilter:
    """Each that is not None has to hold. `until` is in seconds since the epoch."""

    pattern: re.Pattern[str] | None = None
    level: Level | None = None
    workflow: Naming | None = None
    until: float | None = None
    _last: dict[str, Level | None] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return self.pattern is None and self.level is None and self.workflow is None and self.until is None

    def matches(self, name: str, line: logs.Line) -> bool:
        """Call it for each line of a log, in their order: a traceback belongs to the line above it."""
        text = plain(logs.decode(line.data).rstrip("\r\n"))
        if name == logs.EVENT_LOG:
            text = in_english(text)  # as it is shown, without what is only there to be translated
        names_it = self.workflow is None or self.workflow.matches(name, text)
        if self.level is not None and not self._is_serious(name, text, self.level):
            return False
        return (
            names_it
            and (self.until is None or line.time <= self.until)
            and (self.pattern is None or self.pattern.search(text) is not None)
        )

    def _is_serious(self, name: str, text: str, least: Level) -> bool:
        from mika.records.reading import read

        record = read(text)
        if record is not None:
            self._last[name] = record.level
        level = self._last.get(name)
        return level is not None and level >= least


def compile_pattern(grep: str | None, *, ignore_case: bool) -> re.Pattern[str] | None:
    """Raises UsageError."""
    try:
        return re.compile(grep, re.IGNORECASE if ignore_case else 0) if grep is not None else None
    except re.error as error:
        raise UsageError(
            _("--grep: {pattern!r} is not a regular expression: {error}", pattern=grep, error=error),
            _("put a \\ before special characters"),
        ) from None


def parse_level(name: str | None) -> Level | None:
    """Raises UsageError."""
    if name is None:
        return None
    level = level_of(name)
    if level is None:
        raise UsageError(
            _("--level: {name!r} is not a level{suggestion}", name=name, suggestion=did_you_mean(name, _LEVELS)),
            _("one of {choices}", choices=listed(_LEVELS)),
        )
    return level
