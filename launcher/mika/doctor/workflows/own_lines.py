"""What the processes of the project have logged about one workflow."""

from __future__ import annotations

from mika.doctor.examination import Examination
from mika.frozen import frozen
from mika.machine.local import in_thread
from mika.project import logs
from mika.project.log_search import Hit, find
from mika.status import type_of

FIRST, LAST = 20, 30
"""Lines that are shown of a workflow that has more."""
_SECONDS = 1.0
"""For all logs. 100 MB take 0.15 s when they are in memory."""
_BEFORE, _AFTER = 2.0, 5.0
"""Seconds: the API writes of a message before it starts the workflow, and of its reply after it."""
_LONGEST = 16_000  # characters of a line


@frozen
class OwnLine:
    """A line of the log of `process`. `after`: seconds since the workflow's start."""

    after: float
    process: str
    text: str

    def as_json(self) -> dict[str, object]:
        return {"after_s": round(self.after, 3), "process": self.process, "text": self.text}


@frozen
class OwnLines:
    """All, or the `first` and the `last` ones with `left_out` more in between. See `Found`."""

    first: tuple[OwnLine, ...] = ()
    last: tuple[OwnLine, ...] = ()
    left_out: int = 0
    is_complete: bool = True

    def as_json(self) -> dict[str, object]:
        lines = [line.as_json() for line in (*self.first, *self.last)]
        return {"lines": lines, "left_out": self.left_out, "complete": self.is_complete}


async def own_lines(exam: Examination, workflow_id: str, started: float, ended: float, ahead: float) -> OwnLines:
    """What names the workflow in the logs of the project's processes.

    `started` and `ended` are in seconds since the epoch by the server's clock, which is `ahead` seconds ahead of ours.
    """
    folder = exam.folder.logs
    processes = {process.name for process in await exam.processes()}
    since, until = started - ahead - _BEFORE, ended - ahead + _AFTER

    def search() -> OwnLines:
        names = [name for name in logs.names(folder) if type_of(name) in processes]
        found = find(folder, names, workflow_id, since=since, until=until, first=FIRST, last=LAST, limit=_SECONDS)

        def line(hit: Hit) -> OwnLine:
            return OwnLine(hit.time + ahead - started, hit.name, hit.text[:_LONGEST])

        return OwnLines(tuple(map(line, found.first)), tuple(map(line, found.last)), found.left_out, found.is_complete)

    return await in_thread(search)
