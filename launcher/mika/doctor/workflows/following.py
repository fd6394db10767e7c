"""The latest workflows, looked at again and again: only those are judged again of which something may have changed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mika.diagnosis import proto
from mika.doctor.examination import Examination
from mika.doctor.workflows.judge import Diagnosed
from mika.doctor.workflows.listing import Row, judged_now, listed, row_of
from mika.frozen import frozen

if TYPE_CHECKING:
    from temporalio.api.workflow.v1 import WorkflowExecutionInfo

_SOONEST, _LATEST = 2.0, 30.0
"""Seconds after which one that runs is judged again. Nothing but a judgement says that it hangs by now."""
_SHARE = 0.1
"""Of its age: one that has run for long changes rarely."""


@frozen
class _Known:
    found: Diagnosed
    status: int
    until: float
    """When it is to be judged again, by the monotonic clock."""


class Following:
    """The workflows of one namespace."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    async def look(self, exam: Examination, count: int) -> tuple[Row, ...]:
        """The `count` latest, newest first. `exam` is a new one for each look, with a server that is up."""
        infos, now = await listed(exam, count), await exam.server_time()
        due = [info for info in infos if not self._is_known(info)]
        at = time.monotonic()
        found = await judged_now(exam, due) if due else []
        judged = {info.execution.run_id: _known(info, one, at, now) for info, one in zip(due, found, strict=True)}
        runs = [info.execution.run_id for info in infos]
        self._known = {run: judged.get(run) or self._known[run] for run in runs}
        return tuple(row_of(info, self._known[run].found, now) for info, run in zip(infos, runs, strict=True))

    def _is_known(self, info: WorkflowExecutionInfo) -> bool:
        known = self._known.get(info.execution.run_id)
        return known is not None and known.status == info.status and time.monotonic() < known.until


def _known(info: WorkflowExecutionInfo, found: Diagnosed, at: float, now: float) -> _Known:
    if info.status != proto.RUNNING:
        return _Known(found, info.status, float("inf"))
    wait = min(_LATEST, max(_SOONEST, _SHARE * (now - proto.at(info.start_time))))
    return _Known(found, info.status, at + wait)
