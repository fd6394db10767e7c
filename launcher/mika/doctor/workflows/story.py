"""The story of one workflow: what happened, and what that means."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from mika.control.client import not_running
from mika.diagnosis import proto
from mika.diagnosis.commands import for_workflow
from mika.diagnosis.model import FINE, Cause, Diagnosis
from mika.diagnosis.skipping import clock
from mika.diagnosis.slow import slowest_task
from mika.diagnosis.temporal import CallError, call_error
from mika.diagnosis.timeline import Entry, decode, timeline
from mika.doctor.checks.worker import of_queue
from mika.doctor.examination import Examination
from mika.doctor.workers import units_of
from mika.doctor.workflows.ids import id_of
from mika.doctor.workflows.judge import judge, why_slow
from mika.doctor.workflows.own_lines import OwnLines, own_lines
from mika.errors import MikaError, NotRunningError, UsageError
from mika.frozen import frozen
from mika.machine.local import in_thread
from mika.wording import _

if TYPE_CHECKING:
    from temporalio.api.common.v1 import WorkflowExecution
    from temporalio.api.history.v1 import HistoryEvent
    from temporalio.api.workflow.v1 import WorkflowExecutionInfo
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

PAGE = 100
"""Workflows in one answer of the server. It lists running ones first, so the newest are looked for in a page."""


@frozen
class Story:
    """One workflow and its diagnosis. `age`: seconds since its start; it and `ui` are None if there is no such one."""

    id: str
    run_id: str
    status: str
    age: float | None
    ui: str | None
    diagnosis: Diagnosis
    timeline: tuple[Entry, ...] = ()
    log: OwnLines = field(default_factory=OwnLines)

    @property
    def ok(self) -> bool:
        return self.diagnosis.cause in FINE

    def as_json(self) -> dict[str, object]:
        age = None if self.age is None else round(self.age, 1)
        return {
            "version": 1,
            "workflow": {"id": self.id, "run_id": self.run_id, "status": self.status, "age_s": age, "ui": self.ui},
            "cause": str(self.diagnosis.cause),
            "finding": self.diagnosis.finding,
            "evidence": list(self.diagnosis.evidence),
            "fix": self.diagnosis.fix,
            "timeline": [{"after_s": round(entry.after, 3), "text": entry.text} for entry in self.timeline],
            "log": self.log.as_json(),
        }


async def connect(exam: Examination) -> None:
    """Raises NotRunningError or MikaError where there is no Temporal to ask."""
    server = await exam.server()
    if not server.up:
        if server.reason:
            raise MikaError(server.reason.text, server.reason.fix, code="temporal_unavailable")
        text = _("no Temporal server at {address}: {detail}", address=server.address, detail=server.detail)
        if await exam.supervisor() is None:
            nothing = await in_thread(lambda: not_running(exam.folder))
            if server.state == "refused" and exam.backend not in ("external", "none"):  # `mika up` starts it
                raise nothing
            hint = nothing.hint if exam.found is not None else _("`mika doctor` says why")
            raise NotRunningError(_("{nothing}, and {text}", nothing=nothing.message, text=text), hint)
        raise MikaError(text, _("`mika doctor` says why"), code="temporal_unavailable")
    error = await exam.namespace_error()
    if error is not None:
        text = _(
            "Temporal at {address} has no namespace {namespace!r}", address=server.address, namespace=exam.namespace
        )
        is_missing = call_error(error) == CallError.NOT_FOUND
        raise MikaError(
            text if is_missing else str(error), _("`mika doctor` says what to do"), code="namespace_missing"
        ) from None


async def investigate(exam: Examination, wanted: str, *, payloads: bool = False, with_log: bool = False) -> Story:
    """The story of `wanted`: an id, a unique part of one, or `last`; with what the processes have logged about it.

    Raises UsageError for an empty name, NotRunningError and MikaError as `connect`, MikaError for an ambiguous part.
    """
    description = await _search(exam, wanted)
    now = await exam.server_time()
    ahead = now - time.time()
    if isinstance(description, Story):
        return description
    info = description.workflow_execution_info
    events = await (await exam.temporal()).first_events(info.execution)
    surroundings = await exam.surroundings([info.task_queue])
    diagnosis = await judge(exam, description, events, surroundings, now=now)
    diagnosis = _with_memo(await _with_slow_task(exam, diagnosis, events, info.type.name), info)
    ended = now if info.status == proto.RUNNING else proto.at(info.close_time)
    return Story(
        info.execution.workflow_id,
        info.execution.run_id,
        status_of(info),
        max(0.0, now - proto.at(info.start_time)),
        _ui_link(exam, info.execution),
        await _with_what_is_known_here(exam, diagnosis, diagnosis.queue or info.task_queue),
        tuple(timeline(description, events, now=clock(description, now), payloads=payloads)),
        await own_lines(exam, info.execution.workflow_id, proto.at(info.start_time), ended, ahead)
        if with_log
        else OwnLines(),
    )


async def diagnose_again(exam: Examination, workflow_id: str) -> Diagnosis:
    """What is wrong with it now, for who has waited: an examination finds out each fact only once."""
    async with exam.again() as later:
        return (await investigate(later, workflow_id)).diagnosis


async def find(exam: Examination, wanted: str) -> DescribeWorkflowExecutionResponse:
    """The description of an id, a unique part of one, or `last`. Raises as `investigate`, and MikaError `not_found`."""
    found = await _search(exam, wanted)
    if isinstance(found, Story):
        raise MikaError(
            _("{name}: {finding}", name=wanted, finding=found.diagnosis.finding), found.diagnosis.fix, code="not_found"
        )
    return found


async def _search(exam: Examination, wanted: str) -> DescribeWorkflowExecutionResponse | Story:
    """The description of an id, a unique part of one, or `last`; or the story of why there is none."""
    if not wanted.strip():  # as a prefix it would fit the only workflow of a namespace, which nobody meant
        raise UsageError(_("the id of the workflow is empty"), _("give its id, a part of it, or `last`"))
    await connect(exam)
    workflow_id = await _last(exam) if wanted == "last" else wanted
    if not workflow_id:
        text = _("no workflow was ever started in the namespace {namespace}", namespace=exam.namespace)
        return _not_found(wanted, text)
    description = await _describe(exam, workflow_id) or await _describe(exam, await id_of(exam, wanted) or "")
    return description or await _elsewhere(exam, wanted)


async def find_running(exam: Examination, wanted: str) -> WorkflowExecutionInfo:
    """The workflow of that id, unique part of one, or `last`. Raises as `find`, and MikaError if it does not run."""
    info = (await find(exam, wanted)).workflow_execution_info
    if info.status != proto.RUNNING:
        raise MikaError(
            _("{id} does not run: {status}", id=info.execution.workflow_id, status=status_of(info)),
            _(
                "{command} shows its history",
                command=for_workflow("doctor --workflow", info.execution.workflow_id),
            ),
            code="not_running_workflow",
        )
    return info


def status_of(info: WorkflowExecutionInfo) -> str:
    """The status of a WorkflowExecutionInfo in words."""
    return proto.STATUS.get(info.status, str(info.status))


def _ui_link(exam: Examination, execution: WorkflowExecution) -> str:
    path = f"workflows/{quote(execution.workflow_id, '')}/{execution.run_id}/history"
    return f"{exam.ui_url}/namespaces/{quote(exam.namespace, '')}/{path}"


async def _describe(exam: Examination, workflow_id: str) -> DescribeWorkflowExecutionResponse | None:
    """None if no workflow has that id, or it cannot be an id."""
    from temporalio.service import RPCError, RPCStatusCode

    if not workflow_id:
        return None
    try:
        return await (await exam.temporal()).describe(workflow_id)
    except RPCError as error:
        if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
            return None
        raise MikaError(_("Temporal does not answer: {error}", error=error), code="temporal_unavailable") from None


async def _with_what_is_known_here(exam: Examination, diagnosis: Diagnosis, queue: str) -> Diagnosis:
    """The server cannot see why nobody takes a task; this machine can: stopped, suspended, gave up, reconnecting.

    Nor does it see that a debugger holds who took it.
    """
    if diagnosis.cause == Cause.WORKER_UNRESPONSIVE:
        held = next((unit.name for unit in await units_of(exam, queue) if unit.debug), "")
        if not held:
            return diagnosis
        finding = _("{name} is being debugged: {finding}", name=held, finding=diagnosis.finding)
        fix = _("let it go on, in the editor or in `mika attach {name}`", name=held)
        return replace(diagnosis, finding=finding, fix=fix)
    if diagnosis.cause != Cause.NO_WORKER or queue not in await exam.queues():
        return diagnosis
    check = await of_queue(exam, queue)
    if check.status != "fail":
        return diagnosis
    return replace(diagnosis, evidence=(*diagnosis.evidence, check.finding), fix=check.fix or diagnosis.fix)


async def _with_slow_task(
    exam: Examination, diagnosis: Diagnosis, events: Sequence[HistoryEvent], workflow_type: str
) -> Diagnosis:
    """With a word about a task that was answered, but late."""
    task = slowest_task(events)
    if task is None:
        return diagnosis
    why, fix = await why_slow(exam, task, workflow_type)
    slow = _("slow: {task}{why}: {fix}", task=task.text, why=why, fix=fix)
    return replace(diagnosis, evidence=(*diagnosis.evidence, slow))


def _with_memo(diagnosis: Diagnosis, info: WorkflowExecutionInfo) -> Diagnosis:
    """With what the workflow itself says about its course: its memo, which is made to be shown in lists."""
    fields = sorted(info.memo.fields.items())
    memo = (_("memo {name}: {value}", name=name, value=decode(payload)) for name, payload in fields)
    return replace(diagnosis, evidence=(*diagnosis.evidence, *memo))


async def _last(exam: Examination) -> str:
    infos = await (await exam.temporal()).workflows(most=PAGE)
    newest = max(infos, key=lambda info: proto.at(info.start_time), default=None)
    return str(newest.execution.workflow_id) if newest is not None else ""


async def _elsewhere(exam: Examination, wanted: str) -> Story:
    """Not in our namespace; perhaps in another one."""
    from temporalio.service import RPCError

    try:
        others = [name for name in await (await exam.temporal()).namespaces() if name != exam.namespace]
    except RPCError:
        others = []
    matches = await asyncio.gather(*(id_of(exam, wanted, name) for name in others), return_exceptions=True)
    for name, workflow_id in zip(others, matches, strict=True):
        if isinstance(workflow_id, str):
            return _not_found(
                wanted,
                _(
                    "it is in the namespace {found}, and TEMPORAL_NAMESPACE is {namespace}",
                    found=name,
                    namespace=exam.namespace,
                ),
                _(
                    "set TEMPORAL_NAMESPACE={namespace} for the process that should see it, and restart that process",
                    namespace=name,
                ),
                (_("namespace {namespace}: {id}", namespace=name, id=workflow_id),),
            )
    text = _("no workflow with that id, or with it in its id, in the namespace {namespace}", namespace=exam.namespace)
    return _not_found(wanted, text)


def _not_found(
    wanted: str,
    finding: str,
    fix: str = _("`mika workflows` lists the latest; one that ended before the retention (1 to 3 days) is deleted"),
    evidence: tuple[str, ...] = (),
) -> Story:
    return Story(wanted, "", "not_found", None, None, Diagnosis(Cause.NOT_FOUND, finding, evidence, fix))
