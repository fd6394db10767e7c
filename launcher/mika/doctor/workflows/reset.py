"""Begin runs again from an earlier point of their history: what goes there, what runs again, and doing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mika.diagnosis import proto
from mika.diagnosis.commands import for_workflow
from mika.diagnosis.running import failed_task
from mika.doctor.examination import Examination
from mika.doctor.workflows import boundaries
from mika.doctor.workflows.batch import Effect, NeedlessError, Step, few_at_once
from mika.doctor.workflows.selection import is_retried
from mika.doctor.workflows.story import status_of
from mika.frozen import frozen
from mika.reason import Reason
from mika.wording import _, listed

if TYPE_CHECKING:
    from temporalio.api.history.v1 import HistoryEvent
    from temporalio.api.workflow.v1 import WorkflowExecutionInfo
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

LAST_GOOD, FIRST = "last-good", "first"
_SHOWN_IDS = 20

RunId = tuple[str, str]
"""(workflow id, run id)"""
Answer = int | Reason | None
"""The last event to which a reset helps; None if the code fits the run as it is; or why no such event is known."""


@frozen
class Run:
    """A run, and what the server says of it now."""

    info: WorkflowExecutionInfo
    events: Sequence[HistoryEvent]
    is_stuck: bool

    @property
    def is_open(self) -> bool:
        return self.info.status == proto.RUNNING


async def plan(
    exam: Examination,
    infos: Sequence[WorkflowExecutionInfo],
    to: str,
    last_good: Mapping[RunId, Answer],
    *,
    again: bool,
) -> list[Step]:
    """One step for each run. `to`: `first`, `last-good`, the id of an event, or the type of an activity.

    `last_good` has the answers for that word, from the code as it is now. `again`: also runs that a reset has made;
    else a command that was interrupted could not be repeated.
    """
    return await few_at_once(infos, lambda info: _step(exam, info, to, last_good, again=again))


async def _step(
    exam: Examination, info: WorkflowExecutionInfo, to: str, last_good: Mapping[RunId, Answer], *, again: bool
) -> Step:
    temporal = await exam.temporal()
    description = await temporal.describe(info.execution.workflow_id)
    now = description.workflow_execution_info
    if now.execution.run_id != info.execution.run_id:
        return Step(info=info, needless=True, why_not=_is_replaced(now))
    events = await temporal.history(now.execution)
    if not again and boundaries.was_reset(events):
        repeat = for_workflow("workflows reset", info.execution.workflow_id)
        reason = Reason(_("it was reset before"), _("{command} does it again", command=repeat))
        return Step(info=info, needless=True, why_not=reason)
    run = Run(now, events, is_retried(description) and now.status == proto.RUNNING)
    if to != LAST_GOOD:
        target = _wanted(run, to)
        return _to(exam, run, target) if isinstance(target, int) else Step(info=now, why_not=target)
    answer = last_good.get((now.execution.workflow_id, now.execution.run_id), _NOT_REPLAYED)
    if isinstance(answer, Reason):
        return Step(info=now, why_not=answer)
    return _to(exam, run, answer) if answer is not None else _try_again(exam, run)


_NOT_REPLAYED = Reason(
    _("no process of this project replays it, so its last good event is not known"),
    _("name one: `--to EVENT_ID`"),
)


def _wanted(run: Run, to: str) -> int | Reason:
    """The event that the user has named."""
    valid = boundaries.boundaries(run.events)
    if not valid:
        return Reason(_("no worker has taken it yet, so there is nothing to repeat"))
    if to == FIRST:
        return valid[0]
    if to.isdecimal():
        return int(to) if int(to) in valid else _invalid(int(to), valid)
    event_id = boundaries.of_activity(run.events, to)
    if event_id is None:
        if names := listed(boundaries.activities(run.events)):
            return Reason(_("it has no activity {name}; it has {names}", name=to, names=names))
        return Reason(_("it has no activity {name}, and no other either", name=to))
    return event_id


def _invalid(event_id: int, valid: Sequence[int]) -> Reason:
    ids = listed(map(str, valid[-_SHOWN_IDS:]))
    text = _("event {event} is not the end of a workflow task; those are {ids}", event=event_id, ids=ids)
    if len(valid) > _SHOWN_IDS:
        text = _(
            "event {event} is not the end of a workflow task; the last {count} are {ids}",
            event=event_id,
            count=_SHOWN_IDS,
            ids=ids,
        )
    return Reason(text, _("`--to {event}`", event=valid[-1]))


def _try_again(exam: Examination, run: Run) -> Step:
    """The code fits all that has happened. If its last task failed, then only the pause before the next one is left."""
    event_id = boundaries.failing_task(run.events)
    if not run.is_stuck or event_id is None:
        reason = Reason(_("the code as it is now fits it, and its workflow task does not fail: nothing to repeat"))
        return Step(info=run.info, needless=True, why_not=reason)
    failed = failed_task(run.events)
    if failed is None or failed.cause == proto.NON_DETERMINISTIC:
        return _to(exam, run, event_id)
    warning = _("it goes on only if this is fixed: {error}", error=proto.message(failed.failure))
    return _to(exam, run, event_id, warning)


def _to(exam: Examination, run: Run, event_id: int, warning: str = "") -> Step:
    execution = run.info.execution
    again = boundaries.runs_again(run.events, event_id)

    async def act() -> Effect:
        temporal = await exam.temporal()
        _still(run, await temporal.describe(execution.workflow_id))
        new = await temporal.reset(execution, event_id)
        text = _("reset to event {event}: run {run}", event=event_id, run=new)
        return Effect(text, {"to": event_id, "again": again, "new_run_id": new})

    more = _("may run again: {names}", names=listed(again)) if again else _("nothing runs again")
    if not run.is_open:
        more = _("it is {status}; {more}", status=status_of(run.info), more=more)
    if warning:
        more = _("{more}; {warning}", more=more, warning=warning)
    return Step(info=run.info, does=_("reset to event {event}", event=event_id), more=more, act=act)


def _still(run: Run, now: DescribeWorkflowExecutionResponse) -> None:
    """Raises NeedlessError if the run has gone on since the plan was made: a reset would repeat what it did then."""
    info = now.workflow_execution_info
    if info.execution.run_id != run.info.execution.run_id:
        raise NeedlessError(_is_replaced(info))
    if run.is_open and info.status != proto.RUNNING:
        raise NeedlessError(Reason(_("it has ended meanwhile: {status}", status=status_of(info))))
    if run.is_stuck and not is_retried(now):
        raise NeedlessError(Reason(_("it has gone on by itself since then")))


def _is_replaced(now: WorkflowExecutionInfo) -> Reason:
    return Reason(_("a later run of it exists: {run} ({status})", run=now.execution.run_id, status=status_of(now)))
