"""What the hook reports from inside the worker's program, as types. See `hook/mika_inside/`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mika.decoded import Json
from mika.frozen import frozen


@frozen
class Place:
    """A line of the project's source."""

    file: str
    line: int

    def shown(self, project: Path) -> str:
        """As `path:line`, relative to the project where it is in there."""
        path = Path(self.file)
        return f"{path.relative_to(project) if path.is_relative_to(project) else path}:{self.line}"


@frozen
class Event:
    """An event of a history. `name` is the type of its activity or child workflow."""

    id: int
    type: str
    name: str

    def __str__(self) -> str:
        return f"{self.id} ({self.type} {self.name})" if self.name else f"{self.id} ({self.type})"


@frozen
class Asked:
    """A step that the code asks for (`timer`, see `hook/mika_inside/commands.py`); `name` as in `Event`."""

    step: str
    name: str

    def __str__(self) -> str:
        return f"{self.step} {self.name}" if self.name else self.step


@frozen(kw_only=True)
class Misfit:
    """A run whose history the code does not fit."""

    id: str
    run_id: str
    type: str
    is_open: bool
    was_stuck: bool
    """Its last workflow task had failed before: the old code does not fit either."""
    raises: bool
    """The code raises an exception; else it asks for other steps than those that happened."""
    text: str
    """What the SDK says."""
    event: Event | None
    asked: Asked | None
    """What the code asks for in place of the event; None if that is not known or nothing."""
    place: Place | None
    reset_to: int | None
    """The last workflow task to which a reset helps."""


@frozen
class WorkerLine:
    """A worker that the program has made. In `types` and `activities`, `*` is a dynamic one."""

    key: tuple[int, int]
    queue: str
    types: tuple[str, ...]
    activities: tuple[str, ...]
    files: tuple[str, ...]


@frozen
class Awaited:
    """An activity that open runs wait for, and that a worker does not have. `example` is the id of one run."""

    queue: str
    type: str
    runs: int
    example: str


@frozen(kw_only=True)
class WorkerResult:
    """What a worker's replay has found. The counts are numbers of runs."""

    key: tuple[int, int]
    good: int
    open_good: int
    late: int
    """Not replayed, because others with the same steps were."""
    missed: int
    """Not replayed, because the time was over."""
    unknown: Mapping[str, tuple[int, str]]
    """Open runs (or recorded ones) of types that this worker does not have: how many, and the id of one."""
    missing: tuple[Awaited, ...]
    has_more: bool


@frozen
class ProgramError:
    """The exception with which the program ended. `missing` is the package that it did not find."""

    type: str
    text: str
    place: Place | None
    missing: str = ""


@dataclass(slots=True)
class Report:
    """What has been reported so far."""

    hooked: bool = False
    patched: set[int] = field(default_factory=set)
    """The pids in which the SDK cannot start a live worker."""
    workers: list[WorkerLine] = field(default_factory=list)
    results: list[WorkerResult] = field(default_factory=list)
    misfits: list[Misfit] = field(default_factory=list)
    fits: set[tuple[str, str]] = field(default_factory=set)
    """(id, run id) of those that fit, where the order names single runs."""
    unread: list[tuple[str, str]] = field(default_factory=list)
    """(id, reason) of the histories that could not be had or replayed."""
    broken: dict[tuple[int, int], str] = field(default_factory=dict)
    """The replay itself failed for a worker."""
    error: ProgramError | None = None
    unknown_sdk: str = ""
    unconnected: str = ""
    """Why the program reached no server."""
    described: list[Json] = field(default_factory=list)
    called: list[Json] = field(default_factory=list)
    """Of each worker. See `hook/mika_inside/starting.py`."""

    def add(self, line: Json) -> None:
        """Raises KeyError, TypeError or ValueError for a line that the hook does not write."""
        match line["kind"]:
            case "hook":
                self.hooked = True
            case "patched":
                self.patched.add(int(line["pid"]))
            case "worker":
                self.workers.append(
                    WorkerLine(
                        _key(line),
                        str(line["queue"]),
                        tuple(line["types"]),
                        tuple(line["activities"]),
                        tuple(line["files"]),
                    )
                )
            case "misfit":
                self.misfits.append(_misfit(line))
            case "fits":
                self.fits.add((str(line["id"]), str(line["run"])))
            case "unread":
                why = line["text"]  # not its `str()`: that could not be translated
                self.unread.append((str(line["id"]), why if isinstance(why, str) else str(why)))
            case "done":
                self.results.append(_result(line))
            case "broken":
                self.broken[_key(line)] = str(line["text"])
            case "error":
                self.error = ProgramError(
                    str(line["type"]), str(line["text"]), _place(line["where"]), str(line["missing"])
                )
            case "unknown_sdk":
                self.unknown_sdk = str(line["what"])
            case "unconnected":
                self.unconnected = str(line["text"])
            case "described":
                self.described.append(line)
            case "called":
                self.called.append(line)

    def finished_queues(self) -> set[str]:
        """The queues of the workers that have nothing left to do."""
        keys = self._finished()
        return {worker.queue for worker in self.workers if worker.key in keys}

    def replayed_queues(self) -> set[str]:
        """The queues of which a worker with workflows has nothing left to do."""
        return self.finished_queues() & {worker.queue for worker in self.workers if worker.types}

    @property
    def reached_nobody(self) -> bool:
        return bool(self.unconnected) and not self.workers

    @property
    def is_finished(self) -> bool:
        """Whether every worker that has been made has nothing left to do."""
        keys = self._finished()
        return bool(self.workers) and all(worker.key in keys for worker in self.workers)

    @property
    def answer(self) -> Json:
        """What came of a call; None while no worker has made it."""
        return next((line for line in self.called if line["state"] != "not_here"), None)

    def _finished(self) -> set[tuple[int, int]]:
        answered = {_key(line) for line in (*self.described, *self.called)}
        return {result.key for result in self.results} | set(self.broken) | answered


def _key(line: Json) -> tuple[int, int]:
    return int(line["pid"]), int(line["number"])


def _place(value: Json) -> Place | None:
    return Place(str(value[0]), int(value[1])) if value else None


def _misfit(line: Json) -> Misfit:
    event, asked = line["event"], line["asked"]
    return Misfit(
        id=str(line["id"]),
        run_id=str(line["run"]),
        type=str(line["type"]),
        is_open=line["status"] == "RUNNING",
        was_stuck=bool(line["was_stuck"]),
        raises=bool(line["raises"]),
        text=str(line["text"]),
        event=Event(int(event[0]), str(event[1]), str(event[2] or "")) if event else None,
        asked=Asked(str(asked[0]), str(asked[1] or "")) if asked else None,
        place=_place(line["where"]),
        reset_to=int(line["reset_to"]) if line["reset_to"] else None,
    )


def _result(line: Json) -> WorkerResult:
    counts = line["counts"]
    return WorkerResult(
        key=_key(line),
        good=int(counts.get("good", 0)),
        open_good=int(counts.get("open_good", 0)),
        late=int(line["late"]),
        missed=int(counts.get("missed", 0)),
        unknown={str(name): (int(number), str(example)) for name, (number, example) in line["unknown"].items()},
        missing=tuple(
            Awaited(str(queue), str(name), int(number), str(example))
            for queue, name, number, example in line["missing"]
        ),
        has_more=bool(line.get("more_open")),
    )
