"""What is wrong with the check's answer to an edit."""

from __future__ import annotations

from collections.abc import Iterator

from mika.replay.verdict import Verdict

from tests.kit.replay.edits import Edit
from tests.kit.replay.world import Answers, World


def faults(world: World, edit: Edit) -> list[str]:
    """One line for each fault; empty if all is right."""
    if edit.ends:
        return faults_of_program(world.ends(edit), edit)
    return faults_of_runs(world.answers(edit), edit)


def faults_of_program(verdict: Verdict, edit: Edit) -> list[str]:
    """One that does not start must be refused, with its error and the line of it."""
    return list(_of_program(verdict, edit))


def faults_of_runs(answers: Answers, edit: Edit) -> list[str]:
    return list(_of_runs(answers, edit))


def _of_program(verdict: Verdict, edit: Edit) -> Iterator[str]:
    if not verdict.refuses or verdict.error is None:
        yield f"not refused: {list(verdict.reasons())}"
    elif verdict.error.type != edit.ends or verdict.error.place is None or "/bed/" not in verdict.error.place.file:
        yield f"refused for another reason: {verdict.error}"


def _of_runs(answers: Answers, edit: Edit) -> Iterator[str]:
    checked, failed, verdict = answers.checked, answers.failed, answers.verdict
    for kind in sorted(checked - failed):
        yield f"false alarm: {kind} goes on, and the check says {answers.misfits.get(kind, 'gone')}"
    for kind in sorted(failed - checked):
        yield f"missed: {kind}, whose task fails: {answers.truth[kind]}"
    if failed != {*edit.breaks, *edit.gone}:
        yield f"the table is wrong: {answers.truth}"
    if verdict.refuses != bool(failed):
        yield f"refused: {verdict.refuses}"
    if (
        verdict.unchecked
        or verdict.late
        or verdict.fits + len(verdict.misfits) + len(verdict.gone) != len(answers.truth)
    ):
        yield f"not all was checked: {verdict}"
    for kind, misfit in answers.misfits.items():
        found = f"{misfit.event.type} {misfit.event.name}".strip() if misfit.event else ""
        expected = edit.breaks.get(kind, "")
        if found != expected and not (expected.endswith(" *") and found.startswith(expected[:-1])):
            yield f"{kind}: at {misfit.event}, and not at {expected}"
        yield from _of_resets(answers, edit, kind)
        if misfit.raises != edit.raises or (misfit.raises and misfit.place is None):
            yield f"{kind}: it raises: {misfit.raises}, at {misfit.place}"


def _of_resets(answers: Answers, edit: Edit, kind: str) -> Iterator[str]:
    """Where only the steps differ, a reset helps, and only to the point that is named."""
    point = answers.misfits[kind].reset_to
    if edit.raises:
        if point is not None:
            yield f"{kind}: no reset helps code that raises, but the check names {point}"
        return
    if point is None:
        yield f"{kind}: no point for a reset"
    if answers.went_on.get(kind) is False:
        yield f"{kind}: after a reset to {point} it does not go on"
    if answers.went_on_later.get(kind):
        yield f"{kind}: a reset to the task after {point} would do"
