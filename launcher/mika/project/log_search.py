"""The lines of logs that name something, such as a workflow, and the tracebacks below them."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mika.project.logs import Follower, decode
from mika.records.reading import read
from mika.text import plain

_LONGEST_TRACE = 200  # lines
_CHAINED = ("Traceback (most recent call last)", "The above exception was", "During handling of the above exception")
"""How a traceback goes on after a line that is not indented."""
_SAME = 5.0
"""Seconds between the time in a line and that at which it was written, if both are of the same clock."""
_MOST_ABOVE = 2000
"""Bytes above a line in which the record that it belongs to has begun."""
_NOT_TELLING = re.compile(
    r"\s+(at .*(node_modules|\bnode:)|\[?cause\]?: undefined|(isLocal|attempt|namespace|taskToken|workflowId|runId"
    r"|workflowRunId|workflowType|activityId|activityType|taskQueue|sdkComponent|durationMs): )|\s*[\]}]+,?$"
)
"""What the TypeScript SDK logs with each error: fields that the timeline has, and frames outside of the project."""


_ID_OF_WORKFLOW = r"(?i:workflow[ _-]?(?:execution[ _-]?)?(?:id)?[\"']{0,2}\s{0,3}[:=]?\s{0,3}[\"'`(\[<]{0,2})"
"""What stands before the id of a workflow where a line says that it is one: `workflow_id=`, `"workflowId": "`."""


class Naming:
    """Whether lines name `text`. A traceback belongs to the line above it.

    `whole`: as the id of a workflow, and not as a part of a longer name. One that is a mere word may mean anything.
    """

    def __init__(self, text: str, *, whole: bool = False) -> None:
        edge = r"[\w-]" if whole else r"(?!)"
        before = _ID_OF_WORKFLOW if whole and text.isalpha() else f"(?<!{edge})"
        self._pattern = re.compile(f"{before}{re.escape(text)}(?!{edge})")
        # By log: the lines since one that names it, while the next may be of its traceback.
        self._below: dict[str, int] = {}
        self._in_trace: set[str] = set()

    def matches(self, name: str, line: str) -> bool:
        """Call it for each line of the log `name`, in their order."""
        if self.is_named(line):
            self._below[name] = 0
            self._in_trace.discard(name)
            return True
        return name in self._below and self._is_of_trace(name, line)

    def is_named(self, line: str) -> bool:
        return self._pattern.search(line) is not None

    def is_open(self, name: str) -> bool:
        """Whether the next line may belong to one that names it."""
        return name in self._below

    def _is_of_trace(self, name: str, line: str) -> bool:
        self._below[name] += 1
        is_start = line.startswith(_CHAINED)
        if self._below[name] > _LONGEST_TRACE:
            del self._below[name]
            return False
        if is_start or line[:1] in (" ", "\t"):
            self._in_trace.add(name)
            return bool(line.strip())
        if not line:  # between two tracebacks
            return False
        if name in self._in_trace:  # the error itself, `ValueError: no such order`: what follows may be its cause
            self._in_trace.discard(name)
            return True
        del self._below[name]
        return False


@dataclass(frozen=True, slots=True)
class Hit:
    """A line of the log `name`. `time`, in seconds since the epoch, is the line's own if it has one."""

    name: str
    time: float
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """In the order of their times: all, or the `first` and the `last` ones, with `left_out` more in between.

    `is_complete` False: there was no time to read all.
    """

    first: tuple[Hit, ...] = ()
    last: tuple[Hit, ...] = ()
    left_out: int = 0
    is_complete: bool = True


def find(
    directory: Path, names: Sequence[str], text: str, *, since: float, until: float, first: int, last: int, limit: float
) -> Found:
    """The `first` and the `last` lines of these logs that name `text`, written from `since` to `until`.

    Those are seconds since the epoch. Takes a little more than `limit` seconds at most.
    """
    deadline = time.monotonic() + limit
    searches = [_Search(name, text, since, until, first, last) for name in names]
    read_to_the_end = [search.run(directory, deadline) for search in searches]
    total = sum(search.total for search in searches)
    # Each log has kept as many first and last lines as all together may need.
    hits = sorted((hit for search in searches for hit in search.kept()), key=lambda hit: hit.time)
    left_out = max(0, total - first - last)
    begin, end = (hits[:first], hits[-last:]) if left_out else (hits, [])
    return Found(tuple(begin), tuple(end), left_out, all(read_to_the_end))


class _Search:
    """In one log."""

    def __init__(self, name: str, text: str, since: float, until: float, first: int, last: int) -> None:
        self.total = 0
        self._name, self._needle, self._naming = name, text.encode(), Naming(text, whole=True)
        self._since, self._until, self._most_first = since, until, first
        self._first: list[tuple[float, str]] = []
        self._last: deque[tuple[float, str]] = deque(maxlen=last)

    def run(self, directory: Path, deadline: float) -> bool:
        """Whether all was read before the deadline."""
        follower = Follower(directory, self._name, since=self._since)
        while blocks := follower.poll_blocks():
            for written, block in blocks:
                if written > self._until:
                    return True
                self._look(written, block)
            if time.monotonic() > deadline:
                return False
        for line in follower.flush():
            self._look(line.time, line.data)
        return True

    def _look(self, written: float, block: bytes) -> None:
        """Only the lines that may be wanted are taken out of the block: to split all of it would take a second."""
        position = 0
        while position < len(block):
            start = position
            if not self._naming.is_open(self._name):
                at = block.find(self._needle, position)
                if at < 0:
                    return
                start = block.rfind(b"\n", position, at) + 1 or position
            end = block.find(b"\n", start)
            end = len(block) if end < 0 else end
            is_inner = not self._naming.is_open(self._name) and block[start : start + 1].isspace()
            if written >= self._since and is_inner and self._naming.is_named(plain(decode(block[start:end]))):
                self._take_head(written, block[max(0, start - _MOST_ABOVE) : start])
            self._take(written, block[start:end])
            position = end + 1

    def _take_head(self, written: float, above: bytes) -> None:
        """The line above with which a record began: Node prints an object as `name {`, and a line for each field."""
        head = next((line for line in reversed(above.splitlines()) if line and not line[:1].isspace()), b"")
        if head.endswith(b"{"):
            self._keep(written, plain(decode(head)))

    def _take(self, written: float, data: bytes) -> None:
        text = plain(decode(data).rstrip("\r"))
        is_wanted = written >= self._since and self._naming.matches(self._name, text)
        if is_wanted and not _NOT_TELLING.match(text):
            self._keep(written, text)

    def _keep(self, written: float, text: str) -> None:
        self.total += 1
        if self.total > self._most_first:
            self._last.append((written, text))
        else:
            self._first.append((written, text))

    def kept(self) -> Iterator[Hit]:
        """The first and the last ones, with their times."""
        latest = 0.0
        for written, text in (*self._first, *self._last):
            record = read(text)
            own = record.time if record is not None else None
            # Its own time is more exact than that of the log's index; but it may be of another time zone.
            is_same_clock = own is not None and abs(own - written) < _SAME
            latest = own if own is not None and is_same_clock else max(latest, written)
            yield Hit(self._name, latest, text)
