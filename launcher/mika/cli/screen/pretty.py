"""Lines of logs as a person reads them: `03:30:18 worker  INFO  llm_answered  8bc6a514  attempt=1  0 ms`."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click

from mika.cli.screen.colours import BAD, GOOD, NAMES, QUIET, WAITING, Colour, palette
from mika.cli.screen.escapes import for_screen
from mika.cli.screen.fields import Template, in_one_line, short_id, template
from mika.cli.screen.known import Known
from mika.cli.screen.width import pad, width
from mika.project import logs
from mika.records.reading import LONGEST, read
from mika.records.record import Level, Record, local_clock
from mika.text import plain

_LEVELS = {
    Level.TRACE: ("TRACE", QUIET),
    Level.DEBUG: ("DEBUG", QUIET),
    Level.INFO: ("INFO", GOOD),
    Level.WARNING: ("WARN", WAITING),
    Level.ERROR: ("ERROR", BAD),
    Level.FATAL: ("FATAL", BAD),
}
_HEADS, _KINDS = 1000, 250  # that are kept: what lines begin with, and what those of one kind have in common
_NOT_OURS = re.compile(r"[/\\](?:site-packages|dist-packages|node_modules|\.venv|venv|\.tox)[/\\]")


class Pretty:
    """`names` are all that may come, in the order of their colours. `root` is the project: its own code is marked.

    `alone`: all lines are of one log, so they need no name.
    """

    def __init__(self, names: Sequence[str], root: Path, *, color: bool, alone: bool = False) -> None:
        self._root, self._color, self._alone = str(root), color, alone
        self._palette = palette()
        self._width = max(map(width, names), default=0)
        self._colours = {name: NAMES[number % len(NAMES)] for number, name in enumerate(names)}
        self._levels: dict[Level | None, str] = {None: " " * 5}
        self._levels |= {level: self._style(text.ljust(5), colour) for level, (text, colour) in _LEVELS.items()}
        self._head = functools.lru_cache(_HEADS)(self._new_head)
        self._fields = functools.lru_cache(_KINDS)(self._new_fields)
        self._known = Known(self._head, self._levels, self._template)

    def line(self, name: str, line: logs.Line) -> str:
        """One line of a log, as one or more lines that each end with a newline."""
        text = logs.decode(line.data).rstrip("\r\n")
        known = self._known.line(name, line.time, text) if len(text) <= LONGEST else None
        if known is not None:
            return known
        record = read(text)
        if record is None:
            return self._row(name, int(line.time), self._safe(text))
        second = record.second
        return self._row(name, int(line.time) if second is None else second, self._text(record))

    def rows(self, text: str, known: str) -> list[str]:
        """A line without time and name. `known`: a value that its reader knows, so that its field is left out."""
        record = read(text)
        return [self._safe(text)] if record is None else self._text(record, known).split("\n")

    def name(self, name: str) -> str:
        """In its colour, as wide as the longest one."""
        return self._style(pad(name, self._width), self._colours.get(name))

    def event(self, name: str, seconds: float, text: str) -> str:
        """Something that happened to a process, in the columns of its lines. `seconds`: since the epoch."""
        return self._row(name, int(seconds), text if self._color else plain(text))

    def _row(self, name: str, second: int, text: str) -> str:
        """Its first line with the time, all with the name."""
        if "\n" in text:
            text = text.replace("\n", f"\n{self._head(name, None)}  ")
        return f"{self._head(name, second)}  {text}\n"

    def _new_head(self, name: str, second: int | None) -> str:
        """Time and name; the same for all lines of a second."""
        clock = self._style(" " * 8 if second is None else local_clock(second), QUIET)
        return clock if self._alone else f"{clock} {self.name(name)}"

    def _text(self, record: Record, known: str = "") -> str:
        message, _, level, names, values, trace = record
        if known in values:
            names, values = _without(known, names, values)
        if not message.isprintable():
            message = self._safe(message)
        if not names:
            text = f"{self._levels[level]} {message}"
        else:
            template, ids = self._fields(names)
            shown = [*map(in_one_line, values)]
            for number in ids:
                shown[number] = short_id(shown[number])
            text = f"{self._levels[level]} {message}{template.format(*shown)}"
        return "\n".join([text, *self._trace(trace)]) if trace else text

    def _new_fields(self, names: tuple[str, ...]) -> Template:
        return self._template([(name, number) for number, name in enumerate(names)])

    def _template(self, fields: Iterable[tuple[str, int]]) -> Template:
        return template(fields, lambda text: self._style(text, QUIET))

    def _trace(self, trace: Sequence[str]) -> Iterator[str]:
        marked = self._own_frame(trace)
        for number, row in enumerate(trace):
            shown = self._safe(row)
            if number != marked:
                yield f"  {shown}"
            else:
                yield click.style(f"> {shown}", bold=True) if self._color else f"> {shown}"

    def _own_frame(self, trace: Sequence[str]) -> int | None:
        """The number of the innermost frame in the project's own code: JavaScript's first one, Python's last."""
        own = [number for number, row in enumerate(trace) if self._root in row and not _NOT_OURS.search(row)]
        if not own:
            return None
        return own[0] if trace[own[0]].lstrip().startswith("at ") else own[-1]

    def _safe(self, text: str) -> str:
        """Line by line, what the screen may be shown."""
        if text.isprintable():
            return text
        return "\n".join(for_screen(row if self._color else plain(row)) for row in text.split("\n"))

    def _style(self, text: str, colour: Colour | None) -> str:
        return self._palette.paint(text, colour) if self._color else text


def _without(known: str, names: Iterable[str], values: Iterable[str]) -> tuple[tuple[str, ...], list[str]]:
    kept = [(name, value) for name, value in zip(names, values, strict=True) if value != known]
    return tuple(name for name, _value in kept), [value for _name, value in kept]
