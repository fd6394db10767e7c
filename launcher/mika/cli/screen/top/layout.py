"""Tables one below the other in a screen of a given size: what does not fit is cut, and how much that is, is said."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from mika.cli.language import shown
from mika.cli.screen.colours import BAD, paint
from mika.cli.screen.width import cut, width
from mika.frozen import frozen
from mika.wording import _

GAP = "  "
_INDENT = "    "
_NOTE_ROOM = 30
"""Columns that a note needs beside its row; with less, it goes into a line of its own."""
_NARROWEST = 8
"""Columns that are left of a column that can be cut."""


def red(text: str) -> str:
    return paint(text, BAD)


@frozen
class Cell:
    text: str
    style: Callable[[str], str] = str


@frozen
class Item:
    """A row, and what is said about it: beside it, or below it where there is no room."""

    cells: tuple[Cell, ...]
    note: str = ""
    is_ok: bool = True


@frozen
class Section:
    """A table. `words` stand above the rows, or in place of them. `least`: lines of it that longer ones leave to it.

    All is as it is shown, but the titles: by these, the columns are known.
    """

    titles: tuple[str, ...]
    items: tuple[Item, ...]
    words: str = ""
    numbers: frozenset[str] = frozenset()
    """Titles of the columns that are aligned to the right."""
    can_cut: frozenset[str] = frozenset()
    """Titles of the columns that need not be whole."""
    least: int = 4


@frozen
class _Block:
    """The lines of an item."""

    lines: tuple[str, ...]
    is_ok: bool = True


def fitting(sections: Sequence[Section], columns: int, rows: int) -> list[str]:
    """The sections in at most `rows` lines, none wider than `columns`."""
    tables = [_table(section, columns) for section in sections]
    needed = [sum(len(block.lines) for block in blocks) for _title, blocks in tables]
    is_airy = rows >= 2 * len(sections) + sum(min(need, 4) for need in needed)
    room = rows - len(sections) * (2 if is_airy else 1)
    given = [min(need, section.least) for need, section in zip(needed, sections, strict=True)]
    for number, need in enumerate(needed):
        given[number] += max(0, min(need - given[number], room - sum(given)))
    lines = []
    for (title, blocks), most in zip(tables, given, strict=True):
        lines += [*([""] if is_airy else []), title, *_cut_blocks(blocks, most, columns)]
    return lines[: max(0, rows)]


def _cut_blocks(blocks: Sequence[_Block], most: int, columns: int) -> list[str]:
    """At most `most` lines; what is not well stays longest."""
    if sum(len(block.lines) for block in blocks) <= most:
        return [line for block in blocks for line in block.lines]
    kept: set[int] = set()
    room = most - 1
    for number in sorted(range(len(blocks)), key=lambda number: (blocks[number].is_ok, number)):
        if (size := len(blocks[number].lines)) <= room:
            room -= size
            kept.add(number)
    left_out = [block for number, block in enumerate(blocks) if number not in kept]
    all_well = all(block.is_ok for block in left_out)
    count = len(left_out)
    more = _("and {count} more, all well", count=count) if all_well else _("and {count} more", count=count)
    return [*(line for number in sorted(kept) for line in blocks[number].lines), cut(shown(more), columns)]


def _table(section: Section, columns: int) -> tuple[str, list[_Block]]:
    """The line with the titles, and the rows below it. A column in which nothing would stand is left out."""
    cells = [item.cells for item in section.items]
    used = [n for n in range(len(section.titles)) if not cells or any(row[n].text for row in cells)]
    widths = _widths(section, used, columns)
    used = [number for number in used if number in widths]
    room = columns - sum(widths.values()) - len(GAP) * len(widths)

    def line(row: Sequence[Cell]) -> str:
        parts = []
        for number in used:
            text = cut(row[number].text, widths[number])
            space, styled = " " * (widths[number] - width(text)), row[number].style(text)
            parts.append(space + styled if section.titles[number] in section.numbers else styled + space)
        return GAP.join(parts)

    title = line([Cell(shown(title), lambda text: click.style(text, bold=True)) for title in section.titles]).rstrip()
    words = cut(section.words, columns)
    blocks = [_Block((red(words) if section.items else words,), is_ok=False)] if words else []
    for item in section.items:
        row = line(item.cells)
        if item.note and room >= _NOTE_ROOM:
            row += GAP + cut(item.note, room)
        below = (
            [f"{_INDENT[:columns]}{cut(item.note, columns - len(_INDENT))}"] if item.note and room < _NOTE_ROOM else []
        )
        blocks.append(_Block((row.rstrip(), *below), item.is_ok))
    return title, blocks


def _widths(section: Section, used: Sequence[int], columns: int) -> dict[int, int]:
    """By the number of a column; without those on the right for which a narrow terminal has no room."""
    widths = {
        number: max(map(width, (shown(section.titles[number]), *(item.cells[number].text for item in section.items))))
        for number in used
    }

    def excess() -> int:
        return sum(widths.values()) + len(GAP) * (len(widths) - 1) - columns

    for number in reversed(used):
        if section.titles[number] in section.can_cut:
            widths[number] -= max(0, min(excess(), widths[number] - _NARROWEST))
    while excess() > 0 and len(widths) > 1:
        widths.popitem()
    return {number: min(wide, columns) for number, wide in widths.items()}
