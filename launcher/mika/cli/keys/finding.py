"""Search in the logs that are stored, for `/`, `n` and `N`."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from mika.project import logs
from mika.text import plain

Match = tuple[str, logs.Line]
_LINES = 50_000
"""How many of the last lines of each log are searched: a key is to be answered at once."""
_MOST = 1000


class Found:
    """The latest matches, and which of them was shown last. `step` goes to older (-1) or newer (+1) ones."""

    def __init__(self, folder: Path, names: Sequence[str], pattern: re.Pattern[str]) -> None:
        lines = logs.read_merged(folder, names, tail=_LINES)
        matches = (match for match in lines if pattern.search(plain(logs.decode(match[1].data))))
        self._matches = list(deque(matches, maxlen=_MOST))
        self._at = len(self._matches)

    def __len__(self) -> int:
        return len(self._matches)

    @property
    def number(self) -> int:
        """Of the match that was shown last, counted from 1."""
        return self._at + 1

    def last(self, count: int) -> list[Match]:
        """The newest ones; `step` goes on from the oldest of them."""
        self._at = max(0, len(self._matches) - count)
        return self._matches[self._at :]

    def step(self, by: int) -> Match | None:
        """None if there is none in that direction."""
        if not 0 <= self._at + by < len(self._matches):
            return None
        self._at += by
        return self._matches[self._at]
