"""Append-only log segments: `<stem>.log`, `<stem>.1.log`, `<stem>.2.log` …, each with a small index file.

The segments contain the bytes of a service exactly as it wrote them. Nothing is inserted, and no file is renamed
(renaming an open file fails on Windows). Everything else that a reader needs is in the index, `<stem>[.N].idx`: a
header (creation time, number of bytes in all earlier segments), then records (time, offset). A record means that the
bytes from `offset` on were written at `time` or later; there is at most one record every 0.1 s. An offset with the
`BREAK` bit means that the bytes from there on do not continue the previous line: either a new run of the service begins
there, or bytes were lost because the disk was full.
"""

# Importing pathlib would add a quarter to the start-up time of the guard, and every service has one:
# ruff: noqa: PTH102, PTH108, PTH112, PTH116, PTH118, PTH120, PTH123
from __future__ import annotations

import os
import stat
import struct
import time

RECORD = struct.Struct("<dQ")  # seconds since the epoch, offset
BREAK = 1 << 63
INDEX_INTERVAL = 0.1  # s
SEGMENTS = 4  # at most; the oldest is deleted when a new one begins
_REOPEN_INTERVAL = 0.5  # s, between two attempts to open a log that could not be opened
_DELETION = 0.5  # s, after a change of a folder: whoever deletes it would fail at a file that is made meanwhile
_MAX_TIME = 1e11  # seconds since the epoch: the year 5138
_MAX_OFFSET = 1 << 50  # bytes: three years at ten bytes per microsecond
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)


def stem(name: str) -> str:
    """The name of a process as used in file names.

    `worker.2` logs to `worker@2.log`, because `worker.2.log` is a segment of `worker`.
    """
    return name.replace(".", "@")


def segment_path(directory: str, name: str, number: int, suffix: str = ".log") -> str:
    middle = f".{number}" if number else ""
    return os.path.join(directory, f"{stem(name)}{middle}{suffix}")


def split_file_name(file_name: str) -> tuple[str, int] | None:
    """Parse the name of a segment: `worker@2.3.log` is segment 3 of `worker.2`. None if it is not a segment."""
    if not file_name.endswith(".log"):
        return None
    base, _, number = file_name.removesuffix(".log").partition(".")
    if not base or (number and not (number.isascii() and number.isdigit() and number[0] != "0")):
        return None
    return base.replace("@", "."), int(number or 0)


def segment_numbers(directory: str, name: str) -> list[int]:
    """The numbers of all segments that are regular files, in order: opening a FIFO would block forever."""
    numbers = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                parts = split_file_name(entry.name)
                if parts and parts[0] == name and _is_file(entry):
                    numbers.append(parts[1])
    except OSError:
        return []
    return sorted(numbers)


def is_plausible(moment: float, offset: int) -> bool:
    """Whether a record can be valid; `offset` without BREAK. Records of a damaged index must be ignored."""
    return 0 <= moment < _MAX_TIME and offset < _MAX_OFFSET


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a cycle of symbolic links
        return False


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _is_free_or_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return True
    except OSError:
        return False


class SegmentWriter:
    """Writes raw bytes to the segments of one service.

    A failed write does not raise an error: `error` is then its message, and `lost` counts the bytes that were dropped.
    """

    def __init__(self, directory: str, name: str, max_bytes: int) -> None:
        self.error: str | None = None
        self.lost = 0
        self._directory, self._name = directory, name
        self._max_bytes = max_bytes
        self._segment_bytes = max(max_bytes // SEGMENTS, 1024)
        self._number = -1
        self._log = self._index = -1  # file descriptors
        self._base = self._size = self._index_size = 0
        self._at_line_start = True
        self._break = True  # a new run never continues the last line of the previous run
        self._last_record = self._last_open = self._last_check = 0.0  # seconds since the epoch

    def write(self, data: bytes) -> None:
        """Append `data`; open the next segment when this one is full."""
        done = 0
        try:
            while done < len(data):
                now = time.time()
                self._ensure_open(now)
                room = self._segment_bytes - self._size - self._index_size - RECORD.size
                end = self._find_cut(data, done, room)
                if end == done:
                    self._open_next()
                    continue
                if self._break or not 0 <= now - self._last_record < INDEX_INTERVAL:
                    self._write_record(now)
                count = os.write(self._log, memoryview(data)[done:end])
                done += count
                self._size += count
                self._at_line_start = data[done - 1] == 0x0A
                self.error = None
        except OSError as error:
            self.error = error.strerror or str(error)
            self.lost += len(data) - done
            self._break = True

    def close(self) -> None:
        for descriptor in (self._log, self._index):
            if descriptor >= 0:
                os.close(descriptor)
        self._log = self._index = -1

    def _find_cut(self, data: bytes, start: int, room: int) -> int:
        """How far to write into this segment: if possible up to the end of a line, so that segments begin with one."""
        if len(data) - start <= room:
            return len(data)
        if room <= 0:
            return start
        newline = data.rfind(b"\n", start, start + room) + 1
        if newline:
            return newline
        # A line that began in this segment, or is longer than a whole segment, is cut where the segment is full.
        return start if self._at_line_start and self._size else start + room

    def _ensure_open(self, now: float) -> None:
        if self._log < 0:
            if 0 <= now - self._last_open < _REOPEN_INTERVAL:
                raise OSError(0, self.error or "cannot be opened")
            self._last_open = now
            if self._number < 0:
                self._open_first()
            else:  # an earlier attempt to open the next segment failed
                self._open_next()
        elif not 0 <= now - self._last_check < INDEX_INTERVAL:
            self._last_check = now
            status = os.fstat(self._log)
            if status.st_nlink and status.st_size >= self._size:
                self._size = status.st_size
            elif status.st_nlink or not self._is_being_deleted(now):
                # The file was deleted or truncated, so its index is wrong: continue in a new segment.
                self._open_next()

    def _is_being_deleted(self, now: float) -> bool:
        """Whether the folder of the log, or the one that it was in, may be on its way out with all that is in it."""
        for folder in (self._directory, os.path.dirname(self._directory)):
            try:
                return 0 <= now - os.stat(folder).st_mtime < _DELETION
            except OSError:
                continue
        return False  # both are gone: that to open a segment fails says so

    def _write_record(self, now: float) -> None:
        """Add a record to the index. If that fails, the log is written without it."""
        record = RECORD.pack(now, self._size | (BREAK if self._break else 0))
        self._last_record = now
        try:
            if os.write(self._index, record) < RECORD.size:
                os.ftruncate(self._index, self._index_size)
                return
        except OSError:
            return
        self._index_size += RECORD.size
        self._break = False

    def _open_first(self) -> None:
        self._make_folder()
        self._prune(0)
        numbers = segment_numbers(self._directory, self._name)
        self._open(numbers[-1] if numbers else 0, 0)

    def _open_next(self) -> None:
        self.close()
        self._make_folder()
        self._prune(self._segment_bytes)
        self._open(self._number + 1, self._base + self._size)

    def _make_folder(self) -> None:
        """The folder alone: where the one above is gone, the project was deleted, and must not come back."""
        try:
            os.mkdir(self._directory, 0o700)
        except FileExistsError:
            if not os.path.isdir(self._directory):
                raise

    def _can_append(self, number: int) -> bool:
        """False when a name is taken by something that is not a file, or when the index does not match the log."""
        log = segment_path(self._directory, self._name, number)
        index = segment_path(self._directory, self._name, number, ".idx")
        if not (_is_free_or_file(log) and _is_free_or_file(index)):
            return False
        size, records = _size(log), _size(index) // RECORD.size
        if not records:
            return not size
        with open(index, "rb") as file:
            header = RECORD.unpack(file.read(RECORD.size))
            file.seek((records - 1) * RECORD.size)
            moment, offset = RECORD.unpack(file.read(RECORD.size))
        end = offset & ~BREAK if records > 1 else 0
        return is_plausible(*header) and is_plausible(moment, end) and end <= size

    def _open(self, number: int, base: int) -> None:
        while not self._can_append(number):
            number += 1
        index_path = segment_path(self._directory, self._name, number, ".idx")
        log = os.open(segment_path(self._directory, self._name, number), _FLAGS, 0o600)
        index = -1
        try:
            index = os.open(index_path, _FLAGS, 0o600)
            index_size = os.fstat(index).st_size // RECORD.size * RECORD.size
            os.ftruncate(index, index_size)
            if index_size:
                with open(index_path, "rb") as file:
                    base = RECORD.unpack(file.read(RECORD.size))[1]
            else:
                index_size = os.write(index, RECORD.pack(time.time(), base))
        except OSError:
            os.close(log)
            if index >= 0:
                os.close(index)
            raise
        self._log, self._index, self._number, self._base = log, index, number, base
        self._size, self._index_size = os.fstat(log).st_size, index_size
        self._last_record = 0.0  # the first bytes of a segment always have a record

    def _prune(self, reserve: int) -> None:
        """Delete the oldest segments until the rest plus `reserve` bytes is within `max_bytes`.

        Best effort: on Windows a file that is open in a reader cannot be deleted, and stays until the next call.
        """
        paths = [
            (
                segment_path(self._directory, self._name, number),
                segment_path(self._directory, self._name, number, ".idx"),
            )
            for number in segment_numbers(self._directory, self._name)
        ]
        sizes = [_size(log) + _size(index) for log, index in paths]
        total = sum(sizes) + reserve
        for (log, index), size in zip(paths, sizes, strict=True):
            if total <= self._max_bytes:
                break
            try:
                os.unlink(log)
                os.unlink(index)
            except FileNotFoundError:
                pass
            except OSError:
                continue
            total -= size
