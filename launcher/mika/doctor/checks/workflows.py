"""Checks of the workflows: those that hang or have failed, and the time limits that they have."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from mika.diagnosis.model import FINE, HANGING, Cause, Diagnosis, near_miss, seconds
from mika.diagnosis.survey import diagnose
from mika.doctor.check import Check, fail, ok, skipped, warn
from mika.doctor.checks.server import needs_server
from mika.doctor.examination import Examination

RECENT = timedelta(minutes=10)
_MOST_RUNNING, _MOST_CLOSED = 20, 10


@dataclass(frozen=True, slots=True)
class Judged:
    """One workflow of a list with its diagnosis."""

    info: Any
    diagnosis: Diagnosis

    @property
    def id(self) -> str:
        return str(self.info.execution.workflow_id)

    @property
    def text(self) -> str:
        return f"{self.id}: {self.diagnosis.cause}, {self.diagnosis.finding}"

    @property
    def fix(self) -> str:
        return f"{self.diagnosis.fix} (`mika doctor --workflow {self.id}`)"

    def is_of(self, queue: str) -> bool:
        """Whether it waits in `queue`, or in one that is probably meant to be it."""
        own = self.info.task_queue
        return own == queue or near_miss(queue, [own]) is not None


async def workflows(exam: Examination) -> Check:
    """Messages that hang now, and those that failed a moment ago."""
    if skip := await needs_server(exam, "workflows"):
        return skip
    running, closed = ([w for w in group if w.is_of(exam.queue)] for group in await _judged(exam))
    hanging = [workflow for workflow in running if workflow.diagnosis.cause in HANGING]
    if hanging:
        first = hanging[-1]  # the oldest: the list begins with the newest
        count = f"{len(hanging)} of {len(running)} running workflows hang, such as"
        text = f"{count if len(hanging) > 1 else 'a workflow hangs:'} {first.text}"
        alive = (await exam.surroundings()).alive(exam.namespace, exam.queue)
        if first.diagnosis.cause != Cause.WORKFLOW_TASK_FAILING and not alive:
            return skipped("workflows", text, "worker")
        return fail("workflows", text, first.fix)
    recent = seconds(RECENT.total_seconds())
    troubled = [workflow for workflow in running if workflow.diagnosis.cause not in FINE]
    if troubled:
        first = troubled[0]
        return warn("workflows", f"{len(troubled)} running in trouble, the latest {first.text}", first.fix)
    if closed:
        first = closed[0]
        return warn("workflows", f"{len(closed)} of the last {recent} failed, the latest {first.text}", first.fix)
    return ok("workflows", f"{len(running)} running, none failed within {recent}")


async def timeouts(exam: Examination) -> Check:
    """Limits that cannot work. That a run is not longer than its execution is checked when the settings are read.

    Steps cannot be longer than a run: the workflow gives each of them a part of what is left of it.
    """
    run, task = exam.config.number("WORKFLOW_RUN_TIMEOUT"), exam.config.number("WORKFLOW_TASK_TIMEOUT")
    if task >= run:
        return warn(
            "timeouts",
            f"WORKFLOW_TASK_TIMEOUT ({task:g} s) leaves nothing of a run ({run:g} s): a hang is noticed too late",
            f"set WORKFLOW_TASK_TIMEOUT={min(10.0, run / 2):g} in .env, then `mika down` and `mika up`",
        )
    if await needs_server(exam, "timeouts") is None:
        _, closed = await _judged(exam)
        for workflow in closed:
            if workflow.diagnosis.cause == Cause.TIMED_OUT_SLOW and workflow.info.task_queue == exam.queue:
                text = f"too short for {workflow.id}: {workflow.diagnosis.finding}"
                return warn("timeouts", text, workflow.diagnosis.fix)
    return ok("timeouts", f"run {run:g} s, workflow task {task:g} s")


async def _judged(exam: Examination) -> tuple[list[Judged], list[Judged]]:
    """The newest running workflows, and the newest of those that ended badly within RECENT."""
    since = (datetime.now(UTC) - RECENT).strftime("%Y-%m-%dT%H:%M:%SZ")
    badly = f"CloseTime > '{since}' AND ExecutionStatus IN ('Failed', 'TimedOut')"

    async def both() -> tuple[list[Judged], list[Judged]]:
        return await asyncio.gather(
            _judge(exam, "ExecutionStatus = 'Running'", _MOST_RUNNING), _judge(exam, badly, _MOST_CLOSED)
        )

    return await exam.once("judged", both)


async def _judge(exam: Examination, query: str, most: int) -> list[Judged]:
    temporal, surroundings = await exam.temporal(), await exam.surroundings()
    infos = await temporal.workflows(query, most)
    now = await exam.server_time()
    diagnoses = await asyncio.gather(
        *(diagnose(temporal, info.execution, surroundings, now=now) for info in infos),
        return_exceptions=True,  # one that is deleted meanwhile is not a finding
    )
    pairs = zip(infos, diagnoses, strict=True)
    return [Judged(info, diagnosis) for info, diagnosis in pairs if isinstance(diagnosis, Diagnosis)]
