"""What a relay reads and where it prints, for tests in one process."""

from __future__ import annotations

import io
import threading
from pathlib import Path

from mika.guard.segments import SegmentWriter


class Logs:
    """Writes logs as the guards do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._writers: dict[str, SegmentWriter] = {}

    def write(self, name: str, data: bytes) -> None:
        if name not in self._writers:
            self._writers[name] = SegmentWriter(str(self.folder), name, 64 << 20)
        self._writers[name].write(data)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()


class Screen(io.StringIO):
    """Something that may be a terminal, may be stopped (Ctrl-S), and may break."""

    def __init__(self, *, terminal: bool = False) -> None:
        super().__init__()
        self.terminal = terminal
        self.moving = threading.Event()
        self.moving.set()
        self.asked = threading.Event()  # to take something
        self.broken = False

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        self.asked.set()
        self.moving.wait(30)
        if self.broken:
            raise BrokenPipeError
        return super().write(text)
