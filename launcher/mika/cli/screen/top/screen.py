"""The whole screen of a terminal: drawn again in place, and at the end as it was before."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from mika.cli.context import use_color
from mika.text import plain

_TAKE, _GIVE_BACK = "\x1b[?1049h\x1b[?25l\x1b[2J", "\x1b[2J\x1b[H\x1b[?25h\x1b[?1049l"
"""The alternate screen, which has no scrollback, without a cursor; and back, cleared: when the window has become larger
meanwhile, tmux would leave a line of it in the scrollback."""


def can_be_taken() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def size() -> tuple[int, int]:
    """Columns and lines. Not from COLUMNS and LINES, which do not change with the window."""
    try:
        columns, lines = os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        columns = lines = 0
    return (columns, lines) if columns and lines else (80, 24)


class Screen:
    """Taken from `take` to `give_back`."""

    def __init__(self) -> None:
        self._shown: list[str] = []
        self._size = (0, 0)
        self._color = use_color()

    def take(self) -> None:
        self._shown = []
        _write(_TAKE)

    def give_back(self) -> None:
        _write(_GIVE_BACK)

    def draw(self, lines: Sequence[str]) -> None:
        """Only what has changed is written."""
        shown = [line if self._color else plain(line) for line in lines]
        text = ""
        if self._size != (now := size()):
            self._size, self._shown, text = now, [], "\x1b[2J"
        before = self._shown + [""] * (len(shown) - len(self._shown))
        for number, (old, new) in enumerate(zip(before, shown + [""] * (len(before) - len(shown)), strict=True), 1):
            if old != new:
                text += f"\x1b[{number};1H\x1b[2K{new}"
        self._shown = shown
        _write(text)


def _write(text: str) -> None:
    if text:
        sys.stdout.write(text)
        sys.stdout.flush()
