"""What a check says: does the new code fit the runs that began with the old code, and may it replace that?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Literal

from mika.frozen import frozen
from mika.reason import Reason
from mika.replay import sentences
from mika.replay.lines import Awaited, Misfit, Place, ProgramError, Report
from mika.replay.program import Outcome

State = Literal["fits", "misfit", "unchecked"]


@frozen
class Group:
    """Runs of one type that do not fit at the same event, for the same reason."""

    runs: tuple[Misfit, ...]

    @property
    def first(self) -> Misfit:
        return self.runs[0]


@frozen(kw_only=True)
class Verdict:
    """The result of checking one process. `seconds` is how long it took."""

    process: str
    project: Path
    fits: int = 0
    """The number of runs that were replayed and fit; `open_fits` of them are open."""
    open_fits: int = 0
    late: int = 0
    fitting: frozenset[tuple[str, str]] = frozenset()
    """(id, run id) of those that fit, where the order names single runs."""
    misfits: tuple[Misfit, ...] = ()
    gone: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """Types of open runs (or of recorded ones) that no worker of the program has: how many runs, and the id of one."""
    gone_activities: tuple[Awaited, ...] = ()
    """Activities that open runs wait for, and that the program's workers of their queue do not have."""
    are_recorded: bool = False
    """The runs are recorded ones, so nobody waits for them."""
    error: ProgramError | None = None
    """The exception with which the program ended before it had a worker."""
    error_fix: str = ""
    """What to do about it, if that is known."""
    ended: tuple[str, ...] | None = None
    """The last lines of a program that ended without an exception that the hook saw."""
    unchecked: tuple[Reason, ...] = ()
    """What could not be checked."""
    files: tuple[str, ...] = ()
    """The sources of the project that the program has imported."""
    seconds: float = 0.0

    @property
    def blocking(self) -> tuple[Misfit, ...]:
        """The open runs that are fine with the old code and not with the new."""
        return tuple(misfit for misfit in self.misfits if misfit.is_open and not misfit.was_stuck)

    @property
    def refuses(self) -> bool:
        """Whether the old code should stay. What could not be checked is no reason for that."""
        return bool(self.blocking or self.gone or self.gone_activities or self.error or self.ended is not None)

    @property
    def state(self) -> State:
        if self.refuses or self.misfits:
            return "misfit"
        return "unchecked" if self.unchecked else "fits"

    def groups(self) -> list[Group]:
        """The misfits, with those that can be said in one line together."""
        groups: dict[tuple[object, ...], list[Misfit]] = {}
        for misfit in self.misfits:
            key = (misfit.type, misfit.event, misfit.place, misfit.asked, misfit.is_open, misfit.was_stuck)
            groups.setdefault(key, []).append(misfit)
        return [Group(tuple(runs)) for runs in groups.values()]

    def reasons(self) -> Iterator[Reason]:
        """One line each for people, the worst first."""
        if self.error is not None:
            yield sentences.of_error(self.error, self.project, self.error_fix)
        elif self.ended is not None:
            yield sentences.of_end(self.ended)
        for group in self.groups():
            yield sentences.of_misfits(group.runs, self.process, self.project)
        for kind, (number, example) in self.gone.items():
            yield sentences.of_gone(kind, number, example, are_recorded=self.are_recorded)
        yield from map(sentences.of_gone_activity, self.gone_activities)
        yield from self.unchecked
        if self.state == "fits" or (self.state == "unchecked" and self.fits):
            yield Reason(sentences.all_fit(self.fits, self.open_fits, self.late, are_recorded=self.are_recorded))

    def as_json(self) -> dict[str, object]:
        return {
            "process": self.process,
            "state": self.state,
            "refuses": self.refuses,
            "fits": self.fits,
            "open": self.open_fits,
            "late": self.late,
            "misfits": [_misfit_json(misfit) for misfit in self.misfits],
            "gone": [{"type": kind, "runs": number, "id": run} for kind, (number, run) in self.gone.items()],
            "gone_activities": [
                {"type": each.type, "queue": each.queue, "runs": each.runs, "id": each.example}
                for each in self.gone_activities
            ],
            "error": None
            if self.error is None
            else {"type": self.error.type, "text": self.error.text, "place": _place_json(self.error.place)},
            "unchecked": [reason.as_json() for reason in self.unchecked],
            "lines": [reason.as_json() for reason in self.reasons()],
            "seconds": round(self.seconds, 3),
        }


def judge(
    process: str, project: Path, outcome: Outcome, queues: Sequence[str] = (), *, are_recorded: bool = False
) -> Verdict:
    """The verdict on what the program of `process` has reported.

    `queues` are those that it should poll. `are_recorded`: the runs are recorded ones.
    """
    report = outcome.report
    results, workers = report.results, {worker.key: worker for worker in report.workers}
    ends_early = outcome.end == "exited" and not (report.is_finished or report.reached_nobody or report.unknown_sdk)
    has_spoken = report.error is not None or outcome.last_lines
    return Verdict(
        process=process,
        project=project,
        fits=sum(result.good for result in results),
        open_fits=sum(result.open_good for result in results),
        late=sum(result.late for result in results),
        fitting=frozenset(report.fits),
        misfits=tuple(report.misfits),
        gone=_gone(outcome),
        gone_activities=tuple(_gone_activities(outcome.report)),
        are_recorded=are_recorded,
        error=report.error if ends_early else None,
        ended=outcome.last_lines if ends_early and report.error is None and has_spoken and report.hooked else None,
        unchecked=tuple(sentences.of_unchecked(outcome, queues)),
        files=tuple(sorted({file for worker in workers.values() for file in worker.files})),
        seconds=outcome.seconds,
    )


def not_checked(process: str, project: Path, reason: Reason) -> Verdict:
    """Nothing was run."""
    return Verdict(process=process, project=project, unchecked=(reason,))


def _gone(outcome: Outcome) -> dict[str, tuple[int, str]]:
    """Of each queue: the types of open runs that none of its workers has."""
    gone: dict[str, tuple[int, str]] = {}
    of_queue: dict[str, set[str]] = {}
    for worker in outcome.report.workers:
        of_queue.setdefault(worker.queue, set()).update(worker.types)
    queues = {worker.key: worker.queue for worker in outcome.report.workers}
    for result in outcome.report.results:
        for kind, (number, example) in result.unknown.items():
            types = of_queue.get(queues.get(result.key, ""), set())
            if kind not in types and "*" not in types:
                gone[kind] = (max(number, gone.get(kind, (0, ""))[0]), example)
    return gone


def _gone_activities(report: Report) -> Iterator[Awaited]:
    """Where no worker of the queue has any activity, another program has them."""
    of_queue: dict[str, set[str]] = {}
    for worker in report.workers:
        of_queue.setdefault(worker.queue, set()).update(worker.activities)
    missing: dict[tuple[str, str], Awaited] = {}
    for awaited in (each for result in report.results for each in result.missing):
        types = of_queue.get(awaited.queue)
        if types and awaited.type not in types and "*" not in types:
            missing.setdefault((awaited.queue, awaited.type), awaited)
    yield from missing.values()


def _place_json(place: Place | None) -> dict[str, object] | None:
    return None if place is None else {"file": place.file, "line": place.line}


def _misfit_json(misfit: Misfit) -> dict[str, object]:
    event = misfit.event
    return {
        "id": misfit.id,
        "run_id": misfit.run_id,
        "type": misfit.type,
        "open": misfit.is_open,
        "was_stuck": misfit.was_stuck,
        "raises": misfit.raises,
        "event": None if event is None else {"id": event.id, "type": event.type, "name": event.name},
        "asked": str(misfit.asked or ""),
        "place": _place_json(misfit.place),
        "reset_to": misfit.reset_to,
        "text": misfit.text,
    }
