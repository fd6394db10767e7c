"""Read the log segments that the guards write: the last lines, lines since a time, new lines, several logs merged.

This also works when nothing is running. No file stays open between two calls: on Windows the writer could not delete an
open file, and the logs would exceed their size limit while somebody reads them.
"""

from __future__ import annotations

import heapq
import locale
import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mika.guard.segments import (
    BREAK,
    INDEX_INTERVAL,
    segment_numbers,
    segment_path,
    split_file_name,
)
from mika.project.log_index import Index

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

EVENT_LOG = "mika"
"""Name of the event log: JSON lines in `.mika/logs/mika.log`."""
MAX_LINE = 64 * 1024  # bytes; a longer line is returned in several pieces
BLOCK = 1 << 20  # bytes that one call of poll() reads at most
_TAIL_BYTES = 16 << 20  # how far back to search for the last lines


class Line(NamedTuple):
    """One line without its newline. `is_complete` is False if no newline follows, as after a piece of a longer line."""

    time: float  # seconds since the epoch, accurate to INDEX_INTERVAL
    data: bytes
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Segment:
    number: int
    path: Path
    size: int


def names(directory: Path) -> list[str]:
    """The names of the processes and services that have a log here."""
    return sorted({name for name, path in _entries(directory) if path.is_file()})


def non_files(directory: Path) -> list[Path]:
    """Folders, FIFOs and the like that have the name of a log. They are never read."""
    return sorted(path for _, path in _entries(directory) if not path.is_file())


def _entries(directory: Path) -> list[tuple[str, Path]]:
    try:
        entries = [(split_file_name(path.name), path) for path in directory.iterdir()]
    except OSError:
        return []
    return [(parts[0], path) for parts, path in entries if parts]


def segments(directory: Path, name: str) -> list[Segment]:
    """The segments of one service, oldest first."""
    result = []
    for number in segment_numbers(str(directory), name):
        path = Path(segment_path(str(directory), name, number))
        try:
            result.append(Segment(number, path, path.stat().st_size))
        except FileNotFoundError:
            continue
    return result


def decode(line: bytes) -> str:
    """Try UTF-8, then the encoding of this machine, then GB2312 for Chinese console programs, else insert U+FFFD.

    Only GB2312, not all of GBK: its second byte is never ASCII, so a single Latin-1 letter is not taken for Chinese.
    """
    try:  # of each line that is shown, so without the cost of contextlib.suppress
        return line.decode("utf-8")
    except UnicodeDecodeError:
        likely = (locale.getencoding(), "gb2312")
    for encoding in likely:
        try:
            return line.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    return line.decode("utf-8", "replace")


class Position(NamedTuple):
    """A place in one log. What came after it was written later, which a time does not say: clocks are set back."""

    segment: int
    offset: int


def end(directory: Path, name: str) -> Position:
    """Where the next byte will be written."""
    existing = segments(directory, name)
    return Position(existing[-1].number, existing[-1].size) if existing else Position(0, 0)


def read_tail(directory: Path, name: str, count: int, *, after: Position | None = None) -> list[Line]:
    """The last `count` lines; with `after`, only those that were written after it."""
    follower = Follower(directory, name, tail=count)
    if after is not None:
        follower.skip_to(after)
    return list(deque(follower.rest(), maxlen=count))


def read_merged(
    directory: Path, services: Sequence[str], *, tail: int | None = None, since: float | None = None
) -> Iterator[tuple[str, Line]]:
    """The lines of several services, ordered by time. With `tail`, the last `tail` lines of each service."""
    followers = {name: Follower(directory, name, tail=tail, since=since) for name in services}
    return merged(followers, tail=tail, is_end=True)


def merged(followers: Mapping[str, Follower], *, tail: int | None, is_end: bool) -> Iterator[tuple[str, Line]]:
    """What there is to read now, ordered by time; with `tail`, the last `tail` lines of each.

    `is_end`: whether nobody reads on, so that a line that is not finished comes, too.
    """

    def read(name: str, follower: Follower) -> Iterator[tuple[str, Line]]:
        lines = follower.rest(is_end=is_end)
        return ((name, line) for line in (lines if tail is None else deque(lines, maxlen=tail)))

    return heapq.merge(*(read(*each) for each in followers.items()), key=lambda entry: entry[1].time)


class Follower:
    """Reads the log of one service across segments, then the bytes that are appended to it.

    It begins at the oldest byte, or `tail` lines before the end (0: only new lines), or at the time `since`.
    `skipped_bytes` counts the bytes that were deleted before they could be read; all others are read.
    """

    def __init__(self, directory: Path, name: str, *, tail: int | None = None, since: float | None = None) -> None:
        self._directory, self._name = directory, name
        self.skipped_bytes = 0
        self._has_gap = False  # bytes before the current position were deleted
        self._number, self._position = -1, 0
        self._file = self._next_file = ""  # the segment that is read, and the one that would come after it
        self._index: Index | None = None
        self._partial, self._partial_time = b"", 0.0
        if tail is not None:
            self._seek_tail(tail)
        elif since is not None:
            self._seek_time(since)
        self.skipped_bytes, self._has_gap = 0, False  # bytes before the start do not count

    def skip_to(self, position: Position) -> None:
        if (self._number, self._position) < position:
            self._enter(*position)

    def rest(self, *, is_end: bool = True) -> Iterator[Line]:
        """What has been written by now, and little more: a process may write faster than anybody reads."""
        last = end(self._directory, self._name)
        while (self._number, self._position) < last and (lines := self.poll()):
            yield from lines
        if is_end:
            yield from self.flush()

    def poll(self) -> list[Line]:
        """The next lines, at most about 1 MiB of them; empty when there is nothing new. Does not block."""
        lines: list[Line] = []
        while not lines:
            pieces = self._pieces()
            if not pieces:
                break
            for time, is_break, piece in pieces:
                if is_break:
                    lines += self.flush()
                self._split(time, piece, lines)
        return lines

    def poll_block(self) -> bytes:
        """Like `poll`, but faster: all lines are returned as one block that ends with a newline."""
        return b"".join([block for _, block in self.poll_blocks()])

    def poll_blocks(self) -> list[tuple[float, bytes]]:
        """Like `poll_block`, with the time at which each part was written."""
        parts: list[tuple[float, bytes]] = []
        while not parts:
            pieces = self._pieces()
            if not pieces:
                break
            for time, is_break, piece in pieces:
                if is_break and self._partial:
                    parts.append((time, self._partial + b"\n"))
                    self._partial = b""
                head, newline, rest = piece.rpartition(b"\n")
                if newline:
                    parts.append((time, self._partial + head + newline))
                    self._partial = rest
                else:
                    self._partial += rest
                if len(self._partial) > MAX_LINE:
                    parts.append((time, self._partial + b"\n"))
                    self._partial = b""
                self._partial_time = time
        return parts

    def flush(self) -> list[Line]:
        """The last line, if no newline has followed it so far."""
        if not self._partial:
            return []
        line = Line(self._partial_time, self._partial, is_complete=False)
        self._partial = b""
        return [line]

    @property
    def unfinished(self) -> bytes:
        """What was read of a line whose end is still to come."""
        return self._partial

    def unread_bytes(self) -> int:
        """How many bytes were written but not read so far."""
        if self.is_at_end():
            return 0
        total = 0
        for segment in segments(self._directory, self._name):
            if segment.number > self._number:
                total += segment.size
            elif segment.number == self._number:
                total += max(0, segment.size - self._position)
        return total

    def skip_to_end_if_behind(self, max_bytes: int) -> int:
        """If a terminal cannot keep up, and more than `max_bytes` are unread, skip them. Returns how many lines."""
        unread = self.unread_bytes()
        if unread <= max_bytes:
            return 0
        skipped_lines = 0
        while unread > 0 and (pieces := self._pieces()):
            for time, is_break, piece in pieces:
                unread -= len(piece)
                if is_break and self._partial:
                    skipped_lines += 1
                    self._partial = b""
                skipped_lines += piece.count(b"\n")
                head, newline, rest = piece.rpartition(b"\n")
                if newline or not self._partial:
                    self._partial, self._partial_time = rest, time
                else:
                    self._partial = (self._partial + head + rest)[-MAX_LINE:]
        return skipped_lines

    def _split(self, time: float, piece: bytes, lines: list[Line]) -> None:
        """Append the lines of `piece` to `lines`, and keep the rest as the partial line."""
        first_time = self._partial_time if self._partial else time
        *complete, rest = (self._partial + piece).split(b"\n")
        for data in complete:
            line = data
            while len(line) > MAX_LINE:
                lines.append(Line(first_time, line[:MAX_LINE], is_complete=False))
                line = line[MAX_LINE:]
            lines.append(Line(first_time, line, is_complete=True))
            first_time = time
        while len(rest) > MAX_LINE:
            lines.append(Line(first_time, rest[:MAX_LINE], is_complete=False))
            rest = rest[MAX_LINE:]
        self._partial, self._partial_time = rest, first_time

    def _pieces(self) -> list[tuple[float, bool, bytes]]:
        """The next block, split at the index records: (time, whether it does not continue the line before, bytes)."""
        data = self._next_block()
        if not data or self._index is None:
            return []
        pieces = []
        start, end = self._position, self._position + len(data)
        time, is_break, self._has_gap = self._index.time, self._has_gap, False
        while record := self._index.take(end):
            offset = record[1] & ~BREAK
            if offset > start:
                pieces.append((time, is_break, data[start - self._position : offset - self._position]))
                start, is_break = offset, False
            time = record[0]
            is_break = is_break or bool(record[1] & BREAK)
        pieces.append((time, is_break, data[start - self._position :]))
        self._index.time = time
        self._position = end
        return pieces

    def is_at_end(self) -> bool:
        """Whether nothing was written since the last read, from two looks at files: a quiet log is asked all the time,
        and to list the folder takes several times as long.
        """
        if self._number < 0:
            return False
        try:
            if os.stat(self._file).st_size != self._position:  # noqa: PTH116 - to make a Path costs as much again
                return False
        except OSError:
            return False
        return not os.path.lexists(self._next_file)

    def _next_block(self) -> bytes:
        if self.is_at_end():
            return b""
        while True:
            # List the segments before the read: if there is a later one already, this one will not grow any more.
            numbers = segment_numbers(str(self._directory), self._name)
            if self._number in numbers and (data := self._read(self._number, self._position, BLOCK)):
                return data
            later = [number for number in numbers if number > self._number]
            if not later and (not numbers or self._number in numbers):
                return b""
            # If there are only earlier numbers, all logs were deleted and a new run began.
            self._enter((later or numbers)[0], 0)

    def _read(self, number: int, position: int, count: int) -> bytes:
        try:
            with self._path(number).open("rb", buffering=0) as file:
                file.seek(position)
                return file.read(count)
        except FileNotFoundError:
            return b""

    def _path(self, number: int, suffix: str = ".log") -> Path:
        return Path(segment_path(str(self._directory), self._name, number, suffix))

    def _enter(self, number: int, position: int) -> None:
        base = self._index.base if self._index else None
        try:
            modified = self._path(number).stat().st_mtime
        except OSError:
            modified = 0.0
        index = Index(self._path(number, ".idx"), modified)
        if base is not None and index.base is not None:
            skipped = max(0, index.base - base - self._position)
            self.skipped_bytes += skipped
            self._has_gap = bool(skipped)
        while position and (record := index.take(position + 1)):
            index.time = record[0]
        self._number, self._position, self._index = number, position, index
        self._file = segment_path(str(self._directory), self._name, number)
        self._next_file = segment_path(str(self._directory), self._name, number + 1)

    def _seek_tail(self, count: int) -> None:
        """Move to the beginning of the last `count` lines, by counting newlines backwards."""
        all_segments = segments(self._directory, self._name)
        if not all_segments:
            return
        number, position = all_segments[-1].number, all_segments[-1].size
        # No line begins after the newline at the end of the log, so one more newline is needed.
        missing = count + (self._read(number, max(0, position - 1), 1) == b"\n")
        budget = _TAIL_BYTES if count else 0
        for segment in reversed(all_segments):
            if budget <= 0:
                break
            number, position = segment.number, segment.size
            while position and budget > 0:
                start = max(0, position - MAX_LINE)
                block = self._read(number, start, position - start)
                budget -= len(block) or 1
                newlines = block.count(b"\n")
                if newlines >= missing:
                    offset = len(block)
                    for _ in range(missing):
                        offset = block.rfind(b"\n", 0, offset)
                    self._enter(number, start + offset + 1)
                    return
                missing -= newlines
                position = start
        self._enter(number, position)

    def _seek_time(self, since: float) -> None:
        for segment in segments(self._directory, self._name):
            self._enter(segment.number, 0)
            index = self._index
            # Bytes that were written INDEX_INTERVAL or more after a record have a record of their own.
            if index is None or index.time > since - INDEX_INTERVAL:
                return
            while record := index.take(segment.size):
                index.time = record[0]
                if record[0] > since - INDEX_INTERVAL:
                    self._position = self._line_start(segment.number, record[1])
                    return
            self._position = segment.size

    def _line_start(self, number: int, offset: int) -> int:
        """Where the line that contains the byte at `offset` begins."""
        if offset & BREAK:
            return offset & ~BREAK
        start = max(0, offset - MAX_LINE)
        newline = self._read(number, start, offset - start).rfind(b"\n")
        return offset if newline < 0 and start else start + newline + 1
