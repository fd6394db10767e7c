"""The diagnosis of a workflow, with what only this machine can tell: whether its worker works, and on what."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mika.detect.files import Files
from mika.detect.sandbox import SandboxImport, imports_in_sandbox
from mika.detect.sources import Sources
from mika.diagnosis import proto
from mika.diagnosis.local import perhaps_in_local_activity
from mika.diagnosis.model import FINE, Cause, Diagnosis, Surroundings
from mika.diagnosis.running import waiting_for
from mika.diagnosis.skipping import clock
from mika.diagnosis.slow import SlowTask, still_slow, taken_task
from mika.diagnosis.steps import attempts
from mika.diagnosis.survey import crowd, needs_crowd
from mika.diagnosis.workflow import classify, ended_well
from mika.doctor.examination import Examination
from mika.doctor.workers import pid_of_worker, units_of
from mika.frozen import frozen
from mika.machine.local import CpuUse, in_thread
from mika.wording import _

if TYPE_CHECKING:
    from temporalio.api.history.v1 import HistoryEvent
    from temporalio.api.workflow.v1 import WorkflowExecutionInfo
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

_ENDED_WELL = (proto.COMPLETED, proto.CONTINUED_AS_NEW)
_SAMPLE = 0.3
"""Seconds over which the use of the CPU is measured."""
_BUSY = 0.2
"""The share of one CPU above which a worker is at work on its task: its own threads need a fraction of that."""
_DEEPEST, _MOST_CHILDREN = 4, 5
"""Levels of children, and children of one workflow, that are looked at."""
_INTO_AN_ACTIVITY = _("what takes so long belongs in an activity: a workflow task should take milliseconds")


@frozen
class Diagnosed:
    """A diagnosis, and the attempts of the activity that is pending or failed last; None without one."""

    diagnosis: Diagnosis
    attempts: int | None = None


async def diagnose(
    exam: Examination, info: WorkflowExecutionInfo, surroundings: Surroundings, *, now: float
) -> Diagnosed:
    """Read the description and the end of the history of one run, and judge. `now`: the server's time.

    Of one that has ended well, the `info` of a list says all.
    """
    if info.status in _ENDED_WELL:
        return Diagnosed(ended_well(info))
    temporal, execution = await exam.temporal(), info.execution
    description = await temporal.describe(execution.workflow_id, execution.run_id)
    is_over = description.workflow_execution_info.status in _ENDED_WELL
    events = [] if is_over else await temporal.newest_events(execution)
    diagnosis = await judge(exam, description, events, surroundings, now=now)
    return Diagnosed(diagnosis, attempts(description, events))


async def judge(
    exam: Examination,
    description: DescribeWorkflowExecutionResponse,
    events: Sequence[HistoryEvent],
    surroundings: Surroundings,
    *,
    now: float,
    deeper: int = _DEEPEST,
) -> Diagnosis:
    """As `classify`; but a worker that has a workflow task for long, and is at work on it, is slow.

    One that is not at work need not hang before the server gives up waiting: a local activity looks the same.

    One that waits for a child is judged by what that child, or one below it, waits for: down to `deeper` levels.
    """
    server_now, now = now, clock(description, now)
    diagnosis = classify(description, events, surroundings, now=now)
    if needs_crowd(diagnosis):
        around = await crowd(await exam.temporal(), description.workflow_execution_info)
        return classify(description, events, replace(surroundings, crowd=around), now=now)
    if diagnosis.cause == Cause.RUNNING and deeper and waiting_for(description) is None:
        return await _child_in_trouble(exam, description, now=server_now, deeper=deeper - 1) or diagnosis
    if diagnosis.cause != Cause.WORKER_UNRESPONSIVE:
        return diagnosis
    task = taken_task(description, events, now)
    if task is None:
        return diagnosis
    if await _is_at_work(exam, task.worker):
        return still_slow(task, *await why_slow(exam, task, description.workflow_execution_info.type.name))
    limit = proto.span(description.execution_config.default_workflow_task_timeout)
    is_late = description.pending_workflow_task.attempt > 1 or task.took >= limit
    is_held = any(unit.debug for unit in await units_of(exam, description.workflow_execution_info.task_queue))
    if is_late or is_held or surroundings.state_of(task.worker) in ("hung", "stopped"):
        return diagnosis
    is_seen = pid_of_worker(exam, task.worker, await exam.status()) is not None
    return perhaps_in_local_activity(task.worker, task.took, limit, is_seen=is_seen)


async def _child_in_trouble(
    exam: Examination, description: DescribeWorkflowExecutionResponse, *, now: float, deeper: int
) -> Diagnosis | None:
    """The diagnosis of the first of its children with which something is wrong. `now`: the server's time."""
    from temporalio.service import RPCError

    temporal = await exam.temporal()
    for child in description.pending_children[:_MOST_CHILDREN]:
        try:
            found = await temporal.describe(child.workflow_id, child.run_id)
            info = found.workflow_execution_info
            if info.status != proto.RUNNING:  # its parent is about to hear of that
                continue
            events = await temporal.newest_events(info.execution)
        except RPCError:  # it is in another namespace
            continue
        surroundings = await exam.surroundings([info.task_queue])
        diagnosis = await judge(exam, found, events, surroundings, now=now, deeper=deeper)
        if diagnosis.cause not in FINE:
            finding = _("its child workflow {id}: {finding}", id=child.workflow_id, finding=diagnosis.finding)
            return replace(diagnosis, finding=finding)
    return None


async def why_slow(exam: Examination, task: SlowTask, workflow_type: str) -> tuple[str, str]:
    """What is known of the reason (empty: nothing), and what to do.

    The sandbox imports the modules of a workflow again when it begins, so only the first task can be slow for that.
    """
    imports = await _imports(exam, workflow_type) if task.is_first else ()
    if not imports:
        return "", _INTO_AN_ACTIVITY
    first, *more = imports
    others = _(" and {count} more", count=len(more)) if more else ""
    why = _(
        "; imports in the sandbox, again for each workflow ({file} imports {package}{others})",
        file=first.path,
        package=first.package,
        others=others,
    )
    return why, _(
        "pass them through: import {package} in {file} within `with workflow.unsafe.imports_passed_through():`",
        package=first.package,
        file=first.path,
    )


async def _imports(exam: Examination, workflow_type: str) -> Sequence[SandboxImport]:
    def find() -> Sequence[SandboxImport]:
        return imports_in_sandbox(Sources(Files(exam.config.project), {}), workflow_type)

    return await exam.once(f"imports of {workflow_type}", lambda: in_thread(find))


async def _is_at_work(exam: Examination, identity: str) -> bool:
    """Whether the process of a worker uses the CPU; False if it is not of this machine."""

    async def measure() -> bool:
        pid = pid_of_worker(exam, identity, await exam.status())
        if pid is None:
            return False
        use = CpuUse(lambda: (pid,))
        use.share()
        await asyncio.sleep(_SAMPLE)
        return use.share() > _BUSY

    return await exam.once(f"cpu of {identity}", measure)
