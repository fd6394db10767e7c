"""The latest workflows, and what is wrong with each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mika.diagnosis import proto
from mika.diagnosis.model import FINE, Diagnosis
from mika.diagnosis.users import shorten
from mika.doctor.examination import Examination
from mika.doctor.workflows.batch import few_at_once
from mika.doctor.workflows.judge import Diagnosed, diagnose
from mika.doctor.workflows.story import PAGE, connect, status_of
from mika.frozen import frozen

if TYPE_CHECKING:
    from temporalio.api.workflow.v1 import WorkflowExecutionInfo


_WITHOUT_A_LATER_RUN = "ExecutionStatus != 'ContinuedAsNew'"


@frozen
class Row:
    """One line of `mika workflows`. `age`: seconds since its start; `took`: until its end, None while it runs.

    `attempts`: of its activities, those of the one that is pending or failed last; None without one. `who`: the user of
    the bot's message, shortened as in the bot's log; None where nothing says that.
    """

    id: str
    type: str
    queue: str
    status: str
    age: float
    took: float | None
    diagnosis: Diagnosis
    attempts: int | None = None
    who: str | None = None

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
            "attempts": self.attempts,
            "who": self.who,
        }


async def latest(exam: Examination, count: int, *, failed: bool = False, running: bool = False) -> list[Row]:
    """The latest workflows of the namespace, newest first. Raises NotRunningError and MikaError as `connect`."""
    judged = await newest(exam, count, failed=failed, running=running)
    users = await _users(exam, [info for info, _found in judged])
    now = await exam.server_time()
    return [row_of(info, found, now, who) for (info, found), who in zip(judged, users, strict=True)]


def row_of(info: WorkflowExecutionInfo, found: Diagnosed, now: float, who: str | None = None) -> Row:
    """`now`: the server's time, in seconds since the epoch."""
    started, closed = proto.at(info.start_time), proto.at(info.close_time)
    return Row(
        info.execution.workflow_id,
        info.type.name,
        info.task_queue,
        status_of(info),
        max(0.0, now - started),
        closed - started if closed else None,
        found.diagnosis,
        found.attempts,
        who,
    )


async def newest(
    exam: Examination, count: int, *, failed: bool = False, running: bool = False
) -> list[tuple[WorkflowExecutionInfo, Diagnosed]]:
    """The latest workflows of the namespace with their diagnoses. Raises as `latest`."""
    await connect(exam)
    conditions = {
        "ExecutionStatus IN ('Failed', 'TimedOut', 'Terminated', 'Canceled')": failed,
        "ExecutionStatus = 'Running'": running,
    }
    infos = await listed(exam, count, " OR ".join(condition for condition, wanted in conditions.items() if wanted))
    return list(zip(infos, await judged_now(exam, infos), strict=True))


async def listed(exam: Examination, count: int, query: str = "") -> list[WorkflowExecutionInfo]:
    """The `count` newest that match; without a `query`, of those that continue as new only the newest run of each."""
    infos = await (await exam.temporal()).workflows(query or _WITHOUT_A_LATER_RUN, max(count, PAGE))
    return sorted(infos, key=lambda info: proto.at(info.start_time), reverse=True)[:count]


async def judged_now(exam: Examination, infos: Sequence[WorkflowExecutionInfo]) -> list[Diagnosed]:
    """The diagnosis of each."""
    surroundings = await exam.surroundings(info.task_queue for info in infos if info.status == proto.RUNNING)
    now = await exam.server_time()
    return await few_at_once(infos, lambda info: diagnose(exam, info, surroundings, now=now))


async def _users(exam: Examination, infos: Sequence[WorkflowExecutionInfo]) -> Sequence[str | None]:
    """Whose message each is about. Only of the bot's workflows it is known where their input says that."""
    if not infos or not await exam.is_bot():
        return [None] * len(infos)
    temporal = await exam.temporal()

    async def user(info: WorkflowExecutionInfo) -> str | None:
        started = (await temporal.first_events(info.execution, 1))[0].workflow_execution_started_event_attributes
        told = proto.readable(started.input.payloads[0])[1] if started.input.payloads else None
        user_id = told.get("user_id") if isinstance(told, dict) else None
        return shorten(user_id) if isinstance(user_id, str) and user_id else None

    return await few_at_once(infos, user)
