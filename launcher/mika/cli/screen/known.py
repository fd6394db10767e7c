"""Lines of kinds that have come before: one pattern reads all of such a line, at a third of the cost or less."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from string import Formatter
from typing import NamedTuple

from mika.cli.screen.fields import Template, short_id
from mika.records.kinds import TEXTS, Kind, kind_of
from mika.records.record import Level, time_of

_SECONDS, _LEVELS = 1000, 20  # whose text is kept
_OFTEN = 50  # lines, from which on a pattern pays: to make it costs as much as to read so many
_ALIKE = 4  # kinds that are tried in turn
_LOOKS = 200
_LOGFMT_NAME = re.compile(r"[A-Za-z_][\w.@-]{0,30}=")


class _Row(NamedTuple):
    """How lines of one kind are shown: every second part is replaced by what is found, beginning with time and level.

    `groups` are those in the pattern, in the order of the parts. `zone` is 0 for lines without a time; `ids` are the
    numbers of parts.
    """

    match: Callable[[str], re.Match[str] | None]
    parts: list[str]
    groups: tuple[int, ...]
    zone: int
    level: Callable[[str], str]
    ids: tuple[int, ...]


class Known:
    """`head` makes time and name, of a name and a second; `template` that of fields, by their names and numbers."""

    def __init__(
        self,
        head: Callable[[str, int], str],
        levels: Mapping[Level | None, str],
        template: Callable[[Iterable[tuple[str, int]]], Template],
    ) -> None:
        self._head, self._levels, self._template = head, levels, template
        self._head_of_time = functools.lru_cache(_SECONDS)(self._new_head_of_time)
        self._texts = {first: [self._row(kind)] for first, kind in TEXTS.items()}
        self._learnt: dict[tuple[int, str], list[_Row]] = {}
        self._misses: Counter[tuple[int, str]] = Counter()

    def line(self, name: str, seconds: float, text: str) -> str | None:
        """One that was written at `seconds`, with a newline; None: it has to be read part by part."""
        if text[:1] == "{":
            look = (text.count('"'), text[:12])  # the same for all of a kind, and hardly for another kind
        else:
            shown = self._shown(self._texts.get(text[:1]), name, seconds, text)
            if shown is not None or (first := _LOGFMT_NAME.match(text)) is None:
                return shown
            look = (text.count('"'), f"{first[0]}{text.count('=')}")
        shown = self._shown(self._learnt.get(look), name, seconds, text)
        if shown is None:
            self._learn(look, text)
        return shown

    def _shown(self, rows: Iterable[_Row] | None, name: str, seconds: float, text: str) -> str | None:
        for match, parts, groups, zone, level, ids in rows or ():
            if found := match(text):
                shown = parts.copy()
                shown[1::2] = found.group(*groups)
                head = self._head_of_time(name, shown[1], found[zone]) if zone else ""
                shown[1] = head or self._head(name, int(seconds))
                shown[3] = level(shown[3])
                for number in ids:
                    shown[number] = short_id(shown[number])
                return "".join(shown)
        return None

    def _new_head_of_time(self, name: str, second: str, zone: str) -> str:
        """Empty if it is no time."""
        seconds = time_of(int(second) if second.isdecimal() else second + zone)
        return "" if seconds is None else self._head(name, int(seconds))

    def _learn(self, look: tuple[int, str], text: str) -> None:
        """Make a pattern for the kind of this line, if there have been many that look like it."""
        self._misses[look] += 1
        if self._misses[look] % _OFTEN == 0 and self._misses[look] <= _ALIKE * _OFTEN:
            if (kind := kind_of(text)) is not None:
                self._learnt.setdefault(look, []).append(self._row(kind))
        elif len(self._misses) > _LOOKS:
            self._misses.clear()
            self._learnt.clear()

    def _painted(self, kind: Kind) -> Callable[[str], str]:
        if not kind.level:
            return lambda _line: self._levels[None]
        return functools.lru_cache(_LEVELS)(lambda name: self._levels[kind.level_of(name)])

    def _row(self, kind: Kind) -> _Row:
        fields, ids = self._template(kind.fields)
        text = f"{{{kind.time}}}  {{{kind.level}}} {kind.message}{fields}\n"
        parts, groups = [""], []
        for literal, number, *_ in Formatter().parse(text):
            parts[-1] += literal
            if number is not None:
                parts += ["", ""]
                groups.append(int(number))
        return _Row(
            kind.match,
            parts,
            tuple(groups),
            kind.time and kind.time + 1,
            self._painted(kind),
            tuple(2 * groups.index(number) + 1 for number in ids),
        )
