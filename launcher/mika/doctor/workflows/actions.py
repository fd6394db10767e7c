"""End workflows, or start them again: what is planned for each."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from mika.diagnosis import proto
from mika.diagnosis.commands import for_workflow
from mika.diagnosis.model import workflow_command
from mika.doctor.examination import Examination
from mika.doctor.workflows.batch import Effect, NeedlessError, Step, few_at_once
from mika.doctor.workflows.story import status_of
from mika.reason import Reason
from mika.wording import _

if TYPE_CHECKING:
    from temporalio.api.history.v1 import WorkflowExecutionStartedEventAttributes
    from temporalio.api.workflow.v1 import WorkflowExecutionInfo

_MESSAGE_TWICE = _("it still runs: what it does may be done twice")


def plan_stop(
    exam: Examination, infos: Sequence[WorkflowExecutionInfo], verb: Literal["cancel", "terminate"]
) -> list[Step]:
    """Ask running workflows to cancel themselves, or terminate them without asking."""

    def step(info: WorkflowExecutionInfo) -> Step:
        if info.status != proto.RUNNING:
            show = for_workflow("doctor --workflow", info.execution.workflow_id)
            fix = _("{command} shows its history", command=show)
            return Step(info=info, why_not=Reason(_("it does not run: {status}", status=status_of(info)), fix))

        async def act() -> Effect:
            temporal = await exam.temporal()
            if verb == "terminate":
                await temporal.terminate(info.execution)
                return Effect(_("terminated"))
            await temporal.request_cancel(info.execution)
            return Effect(_("asked to cancel"))

        return Step(info=info, does=_("cancel") if verb == "cancel" else _("terminate"), act=act)

    return [step(info) for info in infos]


async def plan_retry(
    exam: Examination, infos: Sequence[WorkflowExecutionInfo], *, named: bool, replace: bool = False
) -> list[Step]:
    """Start workflows again with the same input under new ids.

    Each goes into its old queue, unless only the one queue of the project has a worker; its timeouts are the old ones,
    unless the configuration gives it more. Those that were not `named` one by one are started again only once.
    `replace`: those that still run are terminated first.
    """
    return await few_at_once(infos, lambda info: _plan_retry(exam, info, named=named, replace=replace))


async def _plan_retry(exam: Examination, info: WorkflowExecutionInfo, *, named: bool, replace: bool) -> Step:
    old_id, is_running = str(info.execution.workflow_id), info.status == proto.RUNNING
    if is_running and not (named or replace):
        fix = _("{command} ends it", command=workflow_command("terminate", info))
        return Step(info=info, why_not=Reason(_("it still runs"), fix))
    temporal = await exam.temporal()
    started = (await temporal.first_events(info.execution))[0].workflow_execution_started_event_attributes
    queue = await _queue(exam, started.task_queue.name)
    new_id = f"{old_id}-retry-{secrets.token_hex(3) if named else info.execution.run_id[:8]}"

    async def act() -> Effect:
        if is_running and replace:
            await temporal.terminate(info.execution)
        await _start_again(exam, started, new_id, queue)
        return Effect(
            _(
                "started {id} in {queue}; {command} tells how it goes",
                id=new_id,
                queue=queue,
                command=for_workflow("doctor --workflow", new_id),
            ),
            {"new_id": new_id, "queue": queue},
        )

    if is_running and replace:
        return Step(info=info, does=_("terminate it, and start it again as {id}", id=new_id), act=act)
    return Step(
        info=info, does=_("start it again as {id}", id=new_id), more=_MESSAGE_TWICE if is_running else "", act=act
    )


async def _queue(exam: Examination, old: str) -> str:
    surroundings = await exam.surroundings()
    if surroundings.alive(exam.namespace, old) or len(surroundings.queues) != 1:
        return old
    return next((own for own in surroundings.queues if surroundings.alive(exam.namespace, own)), old)


async def _start_again(
    exam: Examination, started: WorkflowExecutionStartedEventAttributes, new_id: str, queue: str
) -> None:
    from temporalio.service import RPCError, RPCStatusCode

    own_queue = (await exam.surroundings()).queue

    def longer(old: float, setting: str) -> float:
        configured = exam.config.number(setting) if queue == own_queue else 0.0
        return max(old, configured) if old else 0.0

    try:
        await (await exam.temporal()).start_again(
            started,
            new_id,
            queue,
            run_timeout=longer(proto.span(started.workflow_run_timeout), "WORKFLOW_RUN_TIMEOUT"),
            execution_timeout=longer(proto.span(started.workflow_execution_timeout), "WORKFLOW_EXECUTION_TIMEOUT"),
        )
    except RPCError as error:
        if error.status != RPCStatusCode.ALREADY_EXISTS:
            raise
        raise NeedlessError(Reason(_("it was started again before, as {id}", id=new_id))) from None
