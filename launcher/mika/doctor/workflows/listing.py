"""The latest workflows, and what is wrong with each."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mika.diagnosis import proto
from mika.diagnosis.model import FINE, Diagnosis
from mika.doctor.examination import Examination
from mika.doctor.workflows.judge import diagnose
from mika.doctor.workflows.story import PAGE, connect, status_of

if TYPE_CHECKING:
    from temporalio.api.workflow.v1 import WorkflowExecutionInfo

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Row:
    """One line of `mika workflows`. `age`: seconds since its start; `took`: until its end, None while it runs."""

    id: str
    type: str
    queue: str
    status: str
    age: float
    took: float | None
    diagnosis: Diagnosis

    @property
    def ok(self) -> bool:
        return self.diagnosis.cause in FINE

    def as_json(self) -> dict[str, object]:
        return {
            "id": self.id,
            "type": self.type,
            "queue": self.queue,
            "status": self.status,
            "age_s": round(self.age, 1),
            "took_s": None if self.took is None else round(self.took, 1),
            "cause": str(self.diagnosis.cause),
            "finding": self.diagnosis.finding,
        }


async def latest(exam: Examination, count: int, *, failed: bool = False, running: bool = False) -> list[Row]:
    """The latest workflows of the namespace, newest first. Raises NotRunningError and MikaError as `connect`."""
    judged = await newest(exam, count, failed=failed, running=running)
    now = await exam.server_time()
    return [_row(info, diagnosis, now) for info, diagnosis in judged]


def _row(info: WorkflowExecutionInfo, diagnosis: Diagnosis, now: float) -> Row:
    started, closed = proto.at(info.start_time), proto.at(info.close_time)
    return Row(
        info.execution.workflow_id,
        info.type.name,
        info.task_queue,
        status_of(info),
        max(0.0, now - started),
        closed - started if closed else None,
        diagnosis,
    )


async def newest(
    exam: Examination, count: int, *, failed: bool = False, running: bool = False
) -> list[tuple[WorkflowExecutionInfo, Diagnosis]]:
    """The latest workflows of the namespace with their diagnoses. Raises as `latest`."""
    await connect(exam)
    conditions = {
        "ExecutionStatus IN ('Failed', 'TimedOut', 'Terminated', 'Canceled')": failed,
        "ExecutionStatus = 'Running'": running,
    }
    query = " OR ".join(condition for condition, is_wanted in conditions.items() if is_wanted)
    temporal = await exam.temporal()
    infos = await temporal.workflows(query, max(count, PAGE))
    latest = sorted(infos, key=lambda info: proto.at(info.start_time), reverse=True)[:count]
    surroundings = await exam.surroundings(info.task_queue for info in latest if info.status == proto.RUNNING)
    now = await exam.server_time()
    gate = asyncio.Semaphore(_AT_ONCE)

    async def judged(info: WorkflowExecutionInfo) -> tuple[WorkflowExecutionInfo, Diagnosis]:
        async with gate:
            return info, await diagnose(exam, info.execution, surroundings, now=now)

    return list(await asyncio.gather(*map(judged, latest)))
