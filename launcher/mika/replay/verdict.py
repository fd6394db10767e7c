"""What a check says: does the new code fit the runs that began with the old code, and may it replace that?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mika.diagnosis.commands import for_workflow
from mika.reason import Reason
from mika.replay.lines import Misfit, Place, ProgramError, Report
from mika.replay.program import Outcome

State = Literal["fits", "misfit", "unchecked"]
_SHOWN_IDS = 3


@dataclass(frozen=True, slots=True)
class Group:
    """Runs of one type that do not fit at the same event, for the same reason."""

    runs: tuple[Misfit, ...]

    @property
    def first(self) -> Misfit:
        return self.runs[0]


@dataclass(frozen=True, slots=True, kw_only=True)
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
    are_recorded: bool = False
    """The runs are recorded ones, so nobody waits for them."""
    error: ProgramError | None = None
    """The exception with which the program ended before it had a worker."""
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
        return bool(self.blocking or self.gone or self.error or self.ended is not None)

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
        yield from self._program_end()
        for group in self.groups():
            yield _misfit_reason(group, self)
        for kind, (number, example) in self.gone.items():
            yield self._gone_reason(kind, number, example)
        yield from self.unchecked
        if self.state == "fits" or (self.state == "unchecked" and self.fits):
            yield Reason(self._all_fits())

    def _gone_reason(self, kind: str, number: int, example: str) -> Reason:
        text = f"the new code has no workflow {kind} any more, and {_runs(number)} of it {_are(number)}"
        example_text = f"({example}{', …' if number > 1 else ''})"
        if self.are_recorded:
            return Reason(f"{text} recorded {example_text}", f"register {kind} again, or remove the recorded runs")
        end = for_workflow("workflows terminate", example)
        return Reason(f"{text} open {example_text}", f"register {kind} again until they are closed, or end them: {end}")

    def _program_end(self) -> Iterator[Reason]:
        if self.error is not None:
            where = f" ({self.error.place.shown(self.project)})" if self.error.place else ""
            text = " ".join(self.error.text.split())[:300]
            yield Reason(f"the new code does not start: {self.error.type}: {text}{where}", "fix that first")
        elif self.ended is not None:
            last = f"; the last line that it prints is '{self.ended[-1][:300]}'" if self.ended else ""
            yield Reason(f"the new code exits before it has a worker{last}")

    def _all_fits(self) -> str:
        if not self.fits and not self.late:
            return f"no run is {'recorded' if self.are_recorded else 'open'} that the new code could not fit"
        text = f"the new code fits {_runs(self.fits)}" + (f", {self.open_fits} of them open" if self.open_fits else "")
        return text + (f" ({self.late} more with the same steps were not replayed)" if self.late else "")

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
            "error": None
            if self.error is None
            else {"type": self.error.type, "text": self.error.text, "place": _place_json(self.error.place)},
            "unchecked": [reason.as_json() for reason in self.unchecked],
            "lines": [reason.as_json() for reason in self.reasons()],
            "seconds": round(self.seconds, 3),
        }


_LONGER = "`mika check --timeout 60`"


def judge(
    process: str, project: Path, outcome: Outcome, queues: Sequence[str] = (), *, are_recorded: bool = False
) -> Verdict:
    """The verdict on what the program of `process` has reported.

    `queues` are those that it should poll. `are_recorded`: the runs are recorded ones.
    """
    report = outcome.report
    results, workers = report.results, {worker.key: worker for worker in report.workers}
    ends_early = outcome.end == "exited" and not (report.is_finished or _reached_nobody(report) or report.unknown_sdk)
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
        are_recorded=are_recorded,
        error=report.error if ends_early else None,
        ended=outcome.last_lines if ends_early and report.error is None and has_spoken and report.hooked else None,
        unchecked=tuple(_unchecked(outcome, queues)),
        files=tuple(sorted({file for worker in workers.values() for file in worker.files})),
        seconds=outcome.seconds,
    )


def not_checked(process: str, project: Path, reason: Reason) -> Verdict:
    """Nothing was run."""
    return Verdict(process=process, project=project, unchecked=(reason,))


def _reached_nobody(report: Report) -> bool:
    return bool(report.unconnected) and not report.workers


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


def _unchecked(outcome: Outcome, queues: Sequence[str]) -> Iterator[Reason]:
    report, text = outcome.report, "not checked"
    match outcome.end:
        case "not_started":
            yield Reason(f"{text}: the program could not be started: {outcome.detail}")
        case _ if _reached_nobody(report):
            yield Reason(f"{text}: the program reached no Temporal server", "`mika up`")
        case "unhooked":
            yield Reason(
                f"{text}: Python ignores mika's hook in this program, so it was stopped before it took any task",
                "start it without `-E`, `-I` or a `sitecustomize` that does not load the next one",
            )
        case "timeout" if not report.hooked:
            yield Reason(f"{text}: no Python was started within {outcome.seconds:.0f} s")
        case "timeout" if not report.workers:
            yield Reason(f"{text}: the program made no Worker within {outcome.seconds:.0f} s", _LONGER)
        case "timeout" if not report.is_finished:
            missing = [queue for queue in queues if queue not in report.finished_queues()]
            of = f" of {', '.join(missing)}" if missing else ""
            yield Reason(f"{text}: the workers{of} were not done within {outcome.seconds:.0f} s", _LONGER)
        case "exited" if report.unknown_sdk:
            yield Reason(f"{text}: this version of the SDK is not known to mika: it has no {report.unknown_sdk}")
        case "exited" if not report.workers and report.error is None and not outcome.last_lines:
            yield Reason(f"{text}: the program exited without a Worker")
        case _:
            pass
    for broken in report.broken.values():
        yield Reason(f"{text}: the replay failed: {broken.strip().splitlines()[-1][:300]}")
    for run, why in report.unread[:_SHOWN_IDS]:
        yield Reason(f"{run} was {text}: {why}")
    if len(report.unread) > _SHOWN_IDS:
        yield Reason(f"{len(report.unread) - _SHOWN_IDS} more runs were {text}")
    if missed := sum(result.missed for result in report.results):
        yield Reason(f"{_runs(missed)} {_were(missed)} {text}: the time was over", _LONGER)
    if any(result.has_more for result in report.results):
        yield Reason("there are more open runs; only the newest were checked", "`mika check --open 1000 --timeout 60`")


def _misfit_reason(group: Group, verdict: Verdict) -> Reason:
    first, number = group.first, len(group.runs)
    kind = "open" if first.is_open else "closed" if first.run_id else "recorded"
    state = "that was stuck before" if first.was_stuck else ""
    ids = ", ".join(run.id for run in group.runs[:_SHOWN_IDS]) + (", …" if number > _SHOWN_IDS else "")
    where = f" ({first.place.shown(verdict.project)})" if first.place else ""
    at = f"at event {first.event} " if first.event else ""
    text = f"the new code does not fit {_runs(number, kind)} of {first.type} {state}".rstrip() + f" ({ids}): {at}"
    return Reason(text + _what(first) + where, _advice(first, verdict.process))


def _what(misfit: Misfit) -> str:
    if misfit.raises:
        return f"it raises: {' '.join(misfit.text.split())[:200]}"
    if misfit.asked:
        return f"it asks for {_article(misfit.asked)}"
    if misfit.event is not None and misfit.event.type == "MarkerRecorded":
        return f"it takes another way than then: {' '.join(misfit.text.split())[:200]}"
    return "it does not ask for that" if misfit.event else " ".join(misfit.text.split())[:200]


def _article(asked: str) -> str:
    if asked.startswith(("activity ", "child workflow ", "end ", "failure ")):
        return f"the {asked}"
    return f"a {asked}"


def _advice(misfit: Misfit, process: str) -> str:
    if not misfit.is_open:
        none_open = "if none is open or queried any more: `mika check --closed 0`"
        return f"runs like it that are open would not go on: guard the change with `workflow.patched`; {none_open}"
    if misfit.raises:
        return f"fix the code, or take it all the same: `mika restart {process} --force`"
    then = for_workflow("workflows terminate", misfit.id)
    if misfit.reset_to:
        then = f"{for_workflow('workflows reset', misfit.id, f'--to {misfit.reset_to}')} or {then}"
    return f"{_guard(misfit)}; or take it all the same: `mika restart {process} --force`, then {then}"


def _guard(misfit: Misfit) -> str:
    """`deprecate_patch` guards nothing: it goes on only with runs that have the marker of `patched`."""
    try:
        source = Path(misfit.place.file).read_text(encoding="utf-8", errors="replace") if misfit.place else ""
    except OSError:
        source = ""
    if "deprecate_patch(" in source:
        return "keep `workflow.patched` until no run of before is open (`deprecate_patch` guards none)"
    return 'guard the change with `workflow.patched("NAME")`'


def _runs(number: int, kind: str = "") -> str:
    return f"{number} {kind + ' ' if kind else ''}run{'' if number == 1 else 's'}"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


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
        "asked": misfit.asked,
        "place": _place_json(misfit.place),
        "reset_to": misfit.reset_to,
        "text": misfit.text,
    }
