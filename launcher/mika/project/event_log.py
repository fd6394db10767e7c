"""The events of a stack: the supervisor writes them down, a line of JSON each, and other processes read them."""

from __future__ import annotations

import contextlib
import json

from mika import events
from mika.events import Event
from mika.guard.segments import SegmentWriter
from mika.project import logs
from mika.project.folder import ProjectDir
from mika.project.logs import EVENT_LOG
from mika.wording import packed, unpacked

_MAX_BYTES = 8_000_000


class EventLog:
    """For `mika logs mika`, and for terminals that attach."""

    def __init__(self, folder: ProjectDir) -> None:
        self._writer = SegmentWriter(str(folder.logs), EVENT_LOG, _MAX_BYTES)

    def write(self, event: Event) -> None:
        # A path need not be UTF-8.
        self._writer.write(json.dumps(packed(event.as_json()), ensure_ascii=False).encode(errors="replace") + b"\n")

    def close(self) -> None:
        self._writer.close()


class EventReader:
    """Reads the events that are written to the event log after this object is created."""

    def __init__(self, folder: ProjectDir) -> None:
        self._follower = logs.Follower(folder.logs, EVENT_LOG, tail=0)

    def poll(self) -> list[Event]:
        """The events since the last call. Lines that are not valid events are skipped."""
        return [event for line in self._follower.poll() if (event := read_event(line)) is not None]


def read_event(line: logs.Line) -> Event | None:
    """The event in a line of the event log; None if it is not valid."""
    with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError):
        return events.from_json(unpacked(json.loads(line.data)))
    return None


def in_english(line: str) -> str:
    """A line of the event log without what makes its texts translatable: only mika has a use for that."""
    with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError):
        return json.dumps(unpacked(json.loads(line)), ensure_ascii=False)
    return line
