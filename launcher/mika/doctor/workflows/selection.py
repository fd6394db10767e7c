"""Which workflows a command is about: named ones, those of a query, those that are stuck, those with one cause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mika.diagnosis import proto
from mika.diagnosis.model import Cause
from mika.diagnosis.running import failed_task
from mika.doctor.examination import Examination
from mika.doctor.workflows.batch import few_at_once
from mika.doctor.workflows.listing import newest
from mika.doctor.workflows.story import PAGE, connect, find
from mika.errors import UsageError
from mika.wording import _

if TYPE_CHECKING:
    from temporalio.api.workflow.v1 import WorkflowExecutionInfo
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

MOST = 10_000
"""Workflows that one command acts on."""
_SHOWN, _ALL = 20, 1000
"""How many of the latest are judged for their cause: those that `mika workflows` lists, or as many as it can list."""
_RUNNING = 'ExecutionStatus="Running"'
_REPORTED = f"TemporalReportedProblems IS NOT NULL AND {_RUNNING}"
_LOOKED_AT = 200
"""The newest running ones, whose failure the server may not have reported yet."""


async def by_ids(exam: Examination, wanted: Sequence[str]) -> list[WorkflowExecutionInfo]:
    """Ids, unique parts of them, or `last`. Raises MikaError for one that is not found; nothing is done to others."""
    found = await few_at_once(list(dict.fromkeys(wanted)), lambda each: find(exam, each))
    return list({info.execution.run_id: info for info in (each.workflow_execution_info for each in found)}.values())


async def by_query(
    exam: Examination, query: str, *, running: bool = False, most: int = MOST
) -> Sequence[WorkflowExecutionInfo]:
    """What the server finds, of these only the `running` ones. Raises UsageError where it does not accept the query."""
    from temporalio.service import RPCError, RPCStatusCode

    await connect(exam)
    try:
        return await (await exam.temporal()).workflows(f"({query}) AND {_RUNNING}" if running else query, most)
    except RPCError as error:
        if error.status != RPCStatusCode.INVALID_ARGUMENT:
            raise
        text = " ".join(str(error).split())
        raise UsageError(
            _("--query {query}: {error}", query=query, error=text),
            _("such as --query \"WorkflowType='Order'\""),
        ) from None


async def latest(exam: Examination, count: int) -> list[WorkflowExecutionInfo]:
    """Those that were started last."""
    await connect(exam)
    infos = await (await exam.temporal()).workflows(most=max(count, PAGE))
    return sorted(infos, key=lambda info: proto.at(info.start_time), reverse=True)[:count]


async def by_cause(exam: Examination, cause: Cause, *, every: bool) -> list[WorkflowExecutionInfo]:
    """Those of the latest that have this cause."""
    judged = await newest(exam, _ALL if every else _SHOWN)
    return [info for info, found in judged if found.diagnosis.cause == cause]


async def stuck(exam: Examination) -> list[WorkflowExecutionInfo]:
    """Open runs whose workflow task fails again and again; on a server of others, too, only those of our queues."""
    from temporalio.service import RPCError, RPCStatusCode

    await connect(exam)
    temporal = await exam.temporal()
    try:
        found = list(await temporal.workflows(_REPORTED, MOST))
    except RPCError as error:  # older servers do not have that attribute
        if error.status != RPCStatusCode.INVALID_ARGUMENT:
            raise
        found = []
    known = {info.execution.run_id for info in found}
    others = [info for info in await temporal.workflows(_RUNNING, _LOOKED_AT) if info.execution.run_id not in known]
    failing = await few_at_once(others, lambda info: _fails(exam, info))
    found += [info for info, fails in zip(others, failing, strict=True) if fails]
    queues = () if exam.has_own_server else await exam.queues()
    return [info for info in found if exam.has_own_server or info.task_queue in queues]


async def _fails(exam: Examination, info: WorkflowExecutionInfo) -> bool:
    from temporalio.service import RPCError

    temporal = await exam.temporal()
    try:
        if not is_retried(await temporal.describe(info.execution.workflow_id, info.execution.run_id)):
            return False
        return failed_task(await temporal.newest_events(info.execution)) is not None
    except RPCError:  # it has ended, and was deleted
        return False


def is_retried(description: DescribeWorkflowExecutionResponse) -> bool:
    """Whether its workflow task has failed or timed out, and is tried again."""
    return description.pending_workflow_task.attempt > 1
