"""The index beside a log segment: when its bytes were written, and where lines do not go on."""

from __future__ import annotations

import struct
from collections import deque
from pathlib import Path

from mika.guard.segments import BREAK, RECORD, is_plausible

_INDEX_BLOCK = 4096 * RECORD.size


class Index:
    """The index records of one segment. They are read in blocks, because the index grows while the segment does."""

    def __init__(self, path: Path, fallback_time: float) -> None:
        self._path, self._position = path, RECORD.size
        self._pending: deque[tuple[float, int]] = deque()
        self.time = fallback_time
        self.base: int | None = None  # bytes in all earlier segments
        try:
            moment, base = RECORD.unpack(self._read(0, RECORD.size))
        except struct.error:
            return
        if is_plausible(moment, base):
            self.time, self.base = moment, base

    def take(self, end: int) -> tuple[float, int] | None:
        """Remove and return the next record whose offset is before `end`."""
        if not self._pending:
            self._fill()
        if self._pending and self._pending[0][1] & ~BREAK < end:
            return self._pending.popleft()
        return None

    def _fill(self) -> None:
        block = self._read(self._position, _INDEX_BLOCK)
        block = block[: len(block) // RECORD.size * RECORD.size]
        self._position += len(block)
        records = RECORD.iter_unpack(block)
        self._pending.extend((moment, offset) for moment, offset in records if is_plausible(moment, offset & ~BREAK))

    def _read(self, position: int, count: int) -> bytes:
        """Empty if the index is missing, or is not a file: reading a FIFO would block."""
        try:
            if not self._path.is_file():
                return b""
            with self._path.open("rb") as file:
                file.seek(position)
                return file.read(count)
        except OSError:
            return b""
