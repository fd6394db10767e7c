"""The sentences of a verdict: which runs the new code does not fit, and what could not be checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mika.diagnosis.commands import for_running, for_workflow
from mika.reason import Reason
from mika.replay.lines import Asked, Awaited, Misfit, ProgramError, Report
from mika.replay.program import Outcome
from mika.wording import Text, _, listed

_SHOWN_IDS = 3
_LONGER = "`mika check --timeout 60`"


def of_misfits(runs: Sequence[Misfit], process: str, project: Path) -> Reason:
    """Runs of one type that do not fit at the same event, for the same reason."""
    first, number = runs[0], len(runs)
    ids = listed([*(run.id for run in runs[:_SHOWN_IDS]), *(["…"] if number > _SHOWN_IDS else [])])
    kind = _of_kind(first, number)
    subject = (
        _(
            "the new code does not fit {runs} of {type}, stuck before ({ids})",
            runs=kind,
            type=first.type,
            ids=ids,
        )
        if first.was_stuck
        else _("the new code does not fit {runs} of {type} ({ids})", runs=kind, type=first.type, ids=ids)
    )
    what = _what(first)
    if first.place:
        what = _("{what} ({place})", what=what, place=first.place.shown(project))
    if first.event:
        what = _("at event {event} {what}", event=first.event, what=what)
    return Reason(_("{subject}: {what}", subject=subject, what=what), _advice(first, number, process))


def _of_kind(misfit: Misfit, number: int) -> Text:
    if misfit.is_open:
        return _("1 open run") if number == 1 else _("{count} open runs", count=number)
    if misfit.run_id:
        return _("1 closed run") if number == 1 else _("{count} closed runs", count=number)
    return _("1 recorded run") if number == 1 else _("{count} recorded runs", count=number)


def _what(misfit: Misfit) -> str:
    said = " ".join(misfit.text.split())[:200]
    if misfit.raises:
        return _("it raises: {error}", error=said)
    if misfit.asked:
        return _asks(misfit.asked)
    if misfit.event is not None and misfit.event.type == "MarkerRecorded":
        return _("the new code takes another path than the run did: {error}", error=said)
    return _("it does not ask for that") if misfit.event else said


_ASKED = {
    "timer": _("it asks for a timer"),
    "signal": _("it asks for a signal"),
    "Nexus operation": _("it asks for a Nexus operation"),
    "continue-as-new": _("it asks for a continue-as-new"),
    "end of the workflow": _("it asks for the end of the workflow"),
    "failure of the workflow": _("it asks for the failure of the workflow"),
}


def _asks(asked: Asked) -> Text:
    match asked.step:
        case "activity":
            return _("it asks for the activity {name}", name=asked.name)
        case "child workflow":
            return _("it asks for the child workflow {name}", name=asked.name)
    return _ASKED[asked.step]


def _advice(misfit: Misfit, number: int, process: str) -> str:
    if not misfit.is_open:
        return _(
            "runs like it that are open would not go on: guard the change with `workflow.patched`;"
            " if none is open or queried any more: `mika check --closed 0`"
        )
    if misfit.raises:
        return _("fix the code, or use it all the same: `mika restart {process} --force`", process=process)
    then = for_workflow("workflows terminate", misfit.id)
    if misfit.reset_to and number > 1:
        then = _("`mika workflows reset --stuck` when they hang")
    elif misfit.reset_to:
        reset = for_workflow("workflows reset", misfit.id, f"--to {misfit.reset_to}")
        then = _("{reset} or {terminate}", reset=reset, terminate=then)
    return _(
        "{guard}; or use it all the same: `mika restart {process} --force`, then {then}",
        guard=_guard(misfit),
        process=process,
        then=then,
    )


def _guard(misfit: Misfit) -> Text:
    """`deprecate_patch` guards nothing: it goes on only with runs that have the marker of `patched`."""
    try:
        source = Path(misfit.place.file).read_text(encoding="utf-8", errors="replace") if misfit.place else ""
    except OSError:
        source = ""
    if "deprecate_patch(" in source:
        return _("keep `workflow.patched` until no run of before is open (`deprecate_patch` guards none)")
    return _('guard the change with `workflow.patched("NAME")`')


def of_gone(kind: str, number: int, example: str, *, are_recorded: bool) -> Reason:
    """The new code has no workflow of this type, and there are runs of it: the id of one is `example`."""
    if are_recorded:
        text = (
            _("the new code has no workflow {type} any more, and 1 run of it is recorded ({id})", type=kind, id=example)
            if number == 1
            else _(
                "the new code has no workflow {type} any more, and {count} runs of it are recorded ({id}, …)",
                type=kind,
                count=number,
                id=example,
            )
        )
        return Reason(text, _("register {type} again, or remove the recorded runs", type=kind))
    text = (
        _("the new code has no workflow {type} any more, and 1 run of it is open ({id})", type=kind, id=example)
        if number == 1
        else _(
            "the new code has no workflow {type} any more, and {count} runs of it are open ({id}, …)",
            type=kind,
            count=number,
            id=example,
        )
    )
    end = for_running("workflows terminate", kind) if number > 1 else for_workflow("workflows terminate", example)
    return Reason(
        text, _("register {type} again until they are closed, or end them: {command}", type=kind, command=end)
    )


def of_gone_activity(activity: Awaited) -> Reason:
    """The new code does not have an activity that open runs wait for."""
    text = (
        _(
            "the new code has no activity {type}, and 1 open run waits for it ({id})",
            type=activity.type,
            id=activity.example,
        )
        if activity.runs == 1
        else _(
            "the new code has no activity {type}, and {count} open runs wait for it ({id}, …)",
            type=activity.type,
            count=activity.runs,
            id=activity.example,
        )
    )
    kind, end = activity.type, for_workflow("workflows terminate", activity.example)
    return Reason(
        text,
        _("register {type} again until no run waits for it, or end them: {command}", type=kind, command=end)
        if activity.runs == 1
        else _(
            "register {type} again until no run waits for it, or end each of them, for example {command}",
            type=kind,
            command=end,
        ),
    )


def of_error(error: ProgramError, project: Path, fix: str) -> Reason:
    """The exception with which the program ended, and what to do about it, if that is known."""
    said = " ".join(error.text.split())[:300]
    text = (
        _(
            "the new code does not start: {type}: {error} ({place})",
            type=error.type,
            error=said,
            place=error.place.shown(project),
        )
        if error.place
        else _("the new code does not start: {type}: {error}", type=error.type, error=said)
    )
    return Reason(text, fix or _("fix that first"))


def of_end(lines: Sequence[str]) -> Reason:
    """The program has ended by itself, with these lines."""
    if not lines:
        return Reason(_("the new code exits before it has a worker"))
    line = lines[-1][:300]
    return Reason(_("the new code exits before it has a worker; the last line that it prints is '{line}'", line=line))


def all_fit(fits: int, open_fits: int, late: int, *, are_recorded: bool) -> Text:
    if not fits and not late:
        return (
            _("no run is recorded that the new code could not fit")
            if are_recorded
            else _("no run is open that the new code could not fit")
        )
    text = _("the new code fits {runs}", runs=_runs(fits))
    if open_fits:
        text = _("the new code fits {runs}, {open} of them open", runs=_runs(fits), open=open_fits)
    if late:
        text = _("{text} ({count} more with the same steps were not replayed)", text=text, count=late)
    return text


def of_unchecked(outcome: Outcome, queues: Sequence[str]) -> Iterator[Reason]:
    """What could not be checked; `queues` are those that the program should poll."""
    if program := _of_program(outcome, queues):
        yield program
    report = outcome.report
    for broken in report.broken.values():
        yield Reason(_("not checked: the replay failed: {error}", error=broken.strip().splitlines()[-1][:300]))
    for run, why in report.unread[:_SHOWN_IDS]:
        yield Reason(_("{run} was not checked: {why}", run=run, why=why))
    if len(report.unread) > _SHOWN_IDS:
        yield Reason(_("{count} more runs were not checked", count=len(report.unread) - _SHOWN_IDS))
    if missed := sum(result.missed for result in report.results):
        text = (
            _("1 run was not checked: the time was over")
            if missed == 1
            else _("{count} runs were not checked: the time was over", count=missed)
        )
        yield Reason(text, _LONGER)
    if any(result.has_more for result in report.results):
        text = _("there are more open runs; only the newest were checked")
        yield Reason(text, "`mika check --open 1000 --timeout 60`")


def _of_program(outcome: Outcome, queues: Sequence[str]) -> Reason | None:
    report, seconds = outcome.report, outcome.seconds
    match outcome.end:
        case "not_started":
            return Reason(_("not checked: the program could not be started: {reason}", reason=outcome.detail))
        case _unused if report.reached_nobody:
            return Reason(_("not checked: the program reached no Temporal server"), _("`mika doctor` says why"))
        case "unhooked":
            return Reason(
                _("not checked: Python ignores mika's hook in this program, so it was stopped before it took any task"),
                _("start it without `-E`, `-I` or a `sitecustomize` that does not load the next one"),
            )
        case "timeout" if not report.hooked:
            return Reason(_("not checked: no Python was started within {seconds:.0f} s", seconds=seconds))
        case "timeout" if not report.workers:
            return Reason(_("not checked: the program made no Worker within {seconds:.0f} s", seconds=seconds), _LONGER)
        case "timeout" if not report.is_finished:
            return Reason(_late(report, queues, seconds), _LONGER)
        case "exited" if report.unknown_sdk:
            return Reason(
                _(
                    "not checked: this version of the SDK is not known to mika: it has no {name}",
                    name=report.unknown_sdk,
                )
            )
        case "exited" if not report.workers and report.error is None and not outcome.last_lines:
            return Reason(_("not checked: the program exited without a Worker"))
    return None


def _late(report: Report, queues: Sequence[str], seconds: float) -> Text:
    missing = [queue for queue in queues if queue not in report.finished_queues()]
    if missing:
        names = listed(missing)
        return _(
            "not checked: the workers of {queues} were not done within {seconds:.0f} s", queues=names, seconds=seconds
        )
    return _("not checked: the workers were not done within {seconds:.0f} s", seconds=seconds)


def _runs(number: int) -> Text:
    return _("1 run") if number == 1 else _("{count} runs", count=number)
