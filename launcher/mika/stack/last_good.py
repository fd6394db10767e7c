"""To which event of a run a reset helps: its worker's own program replays it with the code as it is now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mika.config.load import Config
from mika.doctor.workflows.reset import Answer, RunId
from mika.project.folder import ProjectDir
from mika.reason import Reason
from mika.replay.check import TIMEOUT
from mika.replay.lines import Misfit
from mika.replay.program import Order
from mika.replay.verdict import Verdict
from mika.stack.checking import check
from mika.wording import _

_AT_ONCE = 50
"""Runs of one check: their ids are in its environment, and it reports no more that do not fit."""
_SECONDS_EACH = 0.5


def last_good(config: Config, folder: ProjectDir, runs: Sequence[RunId]) -> dict[RunId, Answer]:
    """The answer for each run, by its ids. Raises UsageError for a project without processes."""
    answers: dict[RunId, Answer] = {}
    for start in range(0, len(runs), _AT_ONCE):
        some = tuple(runs[start : start + _AT_ONCE])
        timeout = TIMEOUT + _SECONDS_EACH * len(some)
        order = Order(do="check", only=some, of_a_shape=len(some), seconds=timeout, locate_each=True)
        answers |= _answers(some, check(config, folder, (), order, timeout=timeout))
    return answers


def _answers(runs: Sequence[RunId], verdicts: Sequence[Verdict]) -> dict[RunId, Answer]:
    answers: dict[RunId, Answer] = {}
    for verdict in verdicts:
        why_not = next(replace(verdict, misfits=(), fits=0, late=0).reasons(), None)
        if why_not is not None and (verdict.unchecked or verdict.refuses):
            answers |= {run: why_not for run in runs if run not in answers}
    for verdict in verdicts:
        answers |= dict.fromkeys(verdict.fitting)
        answers |= {(misfit.id, misfit.run_id): _point(misfit, verdict) for misfit in verdict.misfits}
    return answers


def _point(misfit: Misfit, verdict: Verdict) -> int | Reason:
    if misfit.raises:
        text = " ".join(misfit.text.split())[:200]
        where = f" ({misfit.place.shown(verdict.project)})" if misfit.place else ""
        return Reason(
            _("no reset helps: the code as it is now raises: {error}{where}", error=text, where=where),
            _("fix it, then `mika restart {name}`", name=verdict.process),
        )
    return misfit.reset_to or Reason(_("the event from which on it does not fit could not be found"))
