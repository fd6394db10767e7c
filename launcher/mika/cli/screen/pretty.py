"""Lines of logs as a person reads them: `03:30:18 worker  INFO  llm_answered  8bc6a514  attempt=1  0 ms`."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from mika.cli.screen.colours import BAD, GOOD, NAMES, QUIET, WAITING, Colour, palette
from mika.cli.screen.escapes import for_screen
from mika.cli.screen.width import pad, width
from mika.project import logs
from mika.records.reading import read
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
_HEADS = 1000  # that are kept
_LONGEST_VALUE = 200  # characters of a field; the log file has the rest
_NOT_OURS = re.compile(r"[/\\](?:site-packages|dist-packages|node_modules|\.venv|venv|\.tox)[/\\]")
_LONG_ID = re.compile(r"(?:.*[^0-9a-f])?([0-9a-f]{8})(?:-?[0-9a-f]){8,}", re.IGNORECASE)
_ID_NAMES = ("workflow_id", "workflowid", "workflow.id")


class Pretty:
    """`names` are all that may come, in the order of their colours. `root` is the project: its own code is marked.

    `alone`: all lines are of one log, so they need no name.
    """

    def __init__(self, names: Sequence[str], root: Path, *, color: bool, alone: bool = False) -> None:
        self._root, self._color, self._alone = str(root), color, alone
        self._palette = palette()
        self._width = max(map(width, names), default=0)
        self._heads: dict[tuple[str, int | None], str] = {}  # what lines begin with, of the last seconds
        self._colours = {name: NAMES[number % len(NAMES)] for number, name in enumerate(names)}

    def line(self, name: str, line: logs.Line) -> str:
        """One line of a log, as one or more lines that each end with a newline."""
        text = logs.decode(line.data).rstrip("\r\n")
        record = read(text)
        if record is None and text.isprintable():  # most lines are of this kind, and there may be many
            return f"{self._head(name, line.time)}  {text}\n"
        head, *more = self._rows(text, record)
        first = self._row(name, (record and record.time) or line.time, head)
        return "".join([first, *(self._row(name, None, row) for row in more)])

    def rows(self, text: str, known: str) -> list[str]:
        """A line without time and name. `known`: a value that its reader knows, so that its field is left out."""
        return self._rows(text, read(text), known)

    def name(self, name: str) -> str:
        """In its colour, as wide as the longest one."""
        return self._style(pad(name, self._width), self._colours.get(name))

    def event(self, name: str, seconds: float, text: str) -> str:
        """Something that happened to a process, in the columns of its lines. `seconds`: since the epoch."""
        head, *more = (text if self._color else plain(text)).split("\n")
        return "".join([self._row(name, seconds, head), *(self._row(name, None, row) for row in more)])

    def _row(self, name: str, seconds: float | None, text: str) -> str:
        return f"{self._head(name, seconds)}  {text}\n"

    def _head(self, name: str, seconds: float | None) -> str:
        """Time and name; the same for all lines of a second."""
        second = None if seconds is None else int(seconds)
        head = self._heads.get((name, second))
        if head is None:
            if len(self._heads) >= _HEADS:
                self._heads.clear()
            clock = self._style(" " * 8 if second is None else local_clock(second), QUIET)
            head = self._heads[name, second] = clock if self._alone else f"{clock} {self.name(name)}"
        return head

    def _rows(self, text: str, record: Record | None, known: str = "") -> list[str]:
        if record is None:
            return [self._safe(text)]
        return [*self._message(record, known).split("\n"), *self._trace(record.trace)]

    def _message(self, record: Record, known: str) -> str:
        level, colour = _LEVELS[record.level] if record.level is not None else ("", None)
        parts = [f"{self._style(level.ljust(5), colour)} {self._safe(record.message)}"]
        fields = [self._field(name, value) for name, value in sorted(record.fields, key=_ids_first) if value != known]
        return "  ".join([*parts, *(self._style(field, QUIET) for field in fields)])

    def _field(self, name: str, value: str) -> str:
        shown = value if len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]}…"
        shown = plain(shown).replace("\n", "\\n").replace("\r", "\\r")
        if not shown.isprintable():
            shown = "".join(character if character.isprintable() else "?" for character in shown)
        if name.lower() in _ID_NAMES:
            return short_id(shown)
        if name == "elapsed_ms":
            return f"{shown} ms"
        if name.lower().endswith(("_id", "id")):
            shown = short_id(shown)
        return f"{name}={shown}"

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


@functools.lru_cache(maxsize=1000)
def short_id(text: str) -> str:
    """Eight characters of a long random id, and what is short as it is.

    `process_message_8bc6a514…` and the UUID `8bc6a514-…` both become `8bc6a514`.
    """
    found = _LONG_ID.fullmatch(text)
    return found[1] if found else text


def _ids_first(field: tuple[str, str]) -> bool:
    return field[0].lower() not in _ID_NAMES
