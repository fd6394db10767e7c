"""Checks of the workflows: those that hang or have failed, and the time limits that they have."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from mika.diagnosis import proto
from mika.diagnosis.commands import for_workflow
from mika.diagnosis.model import FINE, HANGING, Cause, Diagnosis, near_miss, seconds
from mika.diagnosis.slow import slowest_task
from mika.doctor.check import Check, fail, ok, skipped, warn
from mika.doctor.checks.server import needs_server
from mika.doctor.examination import Examination
from mika.doctor.workflows.judge import Diagnosed, diagnose, why_slow
from mika.frozen import frozen
from mika.wording import _

RECENT = timedelta(minutes=10)
_MOST_RUNNING, _MOST_CLOSED, _MOST_SLOW = 20, 10, 5


@frozen
class Judged:
    """One workflow of a list with its diagnosis."""

    info: Any
    diagnosis: Diagnosis

    @property
    def id(self) -> str:
        return str(self.info.execution.workflow_id)

    @property
    def text(self) -> str:
        return _("{id}: {cause}, {finding}", id=self.id, cause=self.diagnosis.cause, finding=self.diagnosis.finding)

    @property
    def fix(self) -> str:
        return _("{fix} ({command})", fix=self.diagnosis.fix, command=for_workflow("doctor --workflow", self.id))

    @property
    def queue(self) -> str:
        return str(self.info.task_queue)

    def is_of(self, queues: Sequence[str]) -> bool:
        """Whether it waits in one of `queues`, or in one that is probably meant to be one of them."""
        return self.queue in queues or any(near_miss(queue, [self.queue]) is not None for queue in queues)


async def workflows(exam: Examination) -> Check:
    """Messages that hang now, and those that failed a moment ago."""
    if skip := await needs_server(exam, "workflows"):
        return skip
    queues, surroundings = await exam.queues(), await exam.surroundings()
    running, closed = await _judged(exam)
    if not exam.has_own_server:  # it may have the workflows of others, too
        running, closed = ([w for w in group if w.is_of(queues)] for group in (running, closed))
    hanging = [workflow for workflow in running if workflow.diagnosis.cause in HANGING]
    if hanging:

        def is_explained(workflow: Judged) -> bool:
            """Whether the check of the worker says why."""
            is_code = workflow.diagnosis.cause == Cause.WORKFLOW_TASK_FAILING
            return not is_code and workflow.queue in queues and not surroundings.alive(exam.namespace, workflow.queue)

        # The oldest: the list begins with the newest.
        first = next((w for w in reversed(hanging) if not is_explained(w)), hanging[-1])
        text = _("a workflow hangs: {workflow}", workflow=first.text)
        if len(hanging) > 1:
            text = _(
                "{count} of {all} running workflows hang, such as {workflow}",
                count=len(hanging),
                all=len(running),
                workflow=first.text,
            )
        return skipped("workflows", text, "worker") if is_explained(first) else fail("workflows", text, first.fix)
    recent = seconds(RECENT.total_seconds())
    troubled = [workflow for workflow in running if workflow.diagnosis.cause not in FINE]
    if troubled:
        first = troubled[0]
        text = _("{count} running with a problem, the latest {workflow}", count=len(troubled), workflow=first.text)
        return warn("workflows", text, first.fix)
    if closed:
        first = closed[0]
        text = _(
            "{count} failed in the last {time}, the latest {workflow}",
            count=len(closed),
            time=recent,
            workflow=first.text,
        )
        return warn("workflows", text, first.fix)
    if slow := await _slow(exam, queues):
        return slow
    return ok("workflows", _("{count} running, none failed within {time}", count=len(running), time=recent))


async def _slow(exam: Examination, queues: Sequence[str]) -> Check | None:
    """A workflow that ended well a moment ago, though a task of it took seconds: its caller had to wait."""
    temporal = await exam.temporal()
    infos = [
        info
        for info in await temporal.workflows(f"CloseTime > '{_since()}' AND ExecutionStatus = 'Completed'", _MOST_SLOW)
        if exam.has_own_server or info.task_queue in queues
    ]
    histories = await asyncio.gather(*(temporal.first_events(info.execution) for info in infos))
    found = [(task, info) for events, info in zip(histories, infos, strict=True) if (task := slowest_task(events))]
    if not found:
        return None
    task, info = max(found, key=lambda pair: pair[0].took)
    why, fix = await why_slow(exam, task, info.type.name)
    text = _("slow: {task} of {id}{why}", task=task.text, id=info.execution.workflow_id, why=why)
    return warn("workflows", text, fix)


def _since() -> str:
    """The beginning of RECENT, as a query has it."""
    return (datetime.now(UTC) - RECENT).strftime("%Y-%m-%dT%H:%M:%SZ")


async def timeouts(exam: Examination) -> Check | None:
    """Limits of the bot's workflows that cannot work.

    That a run is not longer than its execution is checked when the settings are read. Steps cannot be longer than a
    run: the workflow gives each of them a part of what is left of it.
    """
    limits = (exam.config.settings[name] for name in ("WORKFLOW_RUN_TIMEOUT", "WORKFLOW_TASK_TIMEOUT"))
    if all(limit.origin == "default" for limit in limits) and not await exam.is_bot():
        return None
    run, task = exam.config.number("WORKFLOW_RUN_TIMEOUT"), exam.config.number("WORKFLOW_TASK_TIMEOUT")
    if task >= run:
        return warn(
            "timeouts",
            _(
                "WORKFLOW_TASK_TIMEOUT ({task:g} s) leaves nothing of a run ({run:g} s): a hang is noticed too late",
                task=task,
                run=run,
            ),
            _(
                "set WORKFLOW_TASK_TIMEOUT={seconds:g} in .env, then `mika down` and `mika up`",
                seconds=min(10.0, run / 2),
            ),
        )
    if await needs_server(exam, "timeouts") is None:
        _running, closed = await _judged(exam)
        for workflow in closed:
            if workflow.diagnosis.cause == Cause.TIMED_OUT_SLOW and workflow.info.task_queue == exam.queue:
                text = _("too short for {id}: {finding}", id=workflow.id, finding=workflow.diagnosis.finding)
                return warn("timeouts", text, workflow.diagnosis.fix)
    return ok("timeouts", _("run {run:g} s, workflow task {task:g} s", run=run, task=task))


async def _judged(exam: Examination) -> tuple[list[Judged], list[Judged]]:
    """The newest running workflows, and the newest of those that ended badly within RECENT."""
    badly = f"CloseTime > '{_since()}' AND ExecutionStatus IN ('Failed', 'TimedOut')"

    async def both() -> tuple[list[Judged], list[Judged]]:
        return await asyncio.gather(
            _judge(exam, "ExecutionStatus = 'Running'", _MOST_RUNNING), _judge(exam, badly, _MOST_CLOSED)
        )

    return await exam.once("judged", both)


async def _judge(exam: Examination, query: str, most: int) -> list[Judged]:
    temporal = await exam.temporal()
    infos = await temporal.workflows(query, most)
    surroundings = await exam.surroundings(info.task_queue for info in infos if info.status == proto.RUNNING)
    now = await exam.server_time()
    diagnoses = await asyncio.gather(
        *(diagnose(exam, info, surroundings, now=now) for info in infos),
        return_exceptions=True,  # one that is deleted meanwhile is not a finding
    )
    pairs = zip(infos, diagnoses, strict=True)
    return [Judged(info, found.diagnosis) for info, found in pairs if isinstance(found, Diagnosed)]
