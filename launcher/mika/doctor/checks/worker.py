"""Checks of the workers, their queue and the workflows in it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from mika.diagnosis import proto
from mika.diagnosis.model import FINE, HANGING, PATIENCE, Cause, Diagnosis, near_miss, seconds
from mika.diagnosis.proto import TaskType
from mika.diagnosis.survey import diagnose
from mika.diagnosis.untaken import describe, find_misplaced, pid_of
from mika.doctor.check import Check, skipped
from mika.doctor.checks.project import unit_down
from mika.doctor.checks.server import needs_server
from mika.doctor.examination import Examination
from mika.reason import Repair
from mika.status import Phase, UnitStatus

RECENT = timedelta(minutes=10)
_MOST_RUNNING, _MOST_CLOSED = 20, 10


async def worker(x: Examination) -> Check:
    """A worker takes tasks of both types from our queue."""
    supervised = await x.processes("worker")
    for process in supervised:
        if process.is_at_rest or process.phase is Phase.BACKOFF:
            return unit_down("worker", process)
    skip = await needs_server(x, "worker")
    if skip is not None:
        return skip
    if not supervised and not x.types("worker") and not await _anyone(x):
        return skipped("worker", "", "there is no worker in the Procfile")
    surroundings = await x.surroundings()
    listed, alive = surroundings.at(x.namespace, x.queue), surroundings.alive(x.namespace, x.queue)
    complete = [poller for poller in alive if poller.workflows and poller.activities]
    if complete:
        first = complete[0]
        more = f" and {len(complete) - 1} more" if len(complete) > 1 else ""
        return Check("worker", "ok", f"{first.identity}{more} polls {x.queue}, last seen {seconds(first.age)} ago")
    if any(poller.workflows for poller in alive) and any(poller.activities for poller in alive):
        return Check("worker", "ok", f"{len(alive)} workers poll {x.queue}, workflows and activities apart")
    if alive:
        missing = "activities" if alive[0].workflows else "workflow tasks"
        return Check(
            "worker",
            "fail",
            f"{alive[0].identity} polls {x.queue}, but no {missing}",
            "register both in that worker and start it again",
        )
    stuck = [poller for poller in listed if poller.state in ("stopped", "hung")]
    if stuck:
        return _stuck(stuck[0].identity, stuck[0].state, supervised, surroundings.worker.how_to_restart())
    misplaced = find_misplaced(x.queue, surroundings)
    if misplaced is not None:
        finding = f"no worker polls {x.queue}: {misplaced.worker.identity} polls {misplaced.place}"
        return Check("worker", "fail", finding, misplaced.fix)
    unready = next((process for process in supervised if not process.is_ready), None)
    if unready is not None:
        return unit_down("worker", unready)
    last = f" ({describe(listed[0])})" if listed else ""
    return Check(
        "worker",
        "fail",
        f"no worker polls {x.queue}{last}",
        surroundings.worker.how_to_start(),
        repair=_repair(supervised),
    )


async def _anyone(x: Examination) -> bool:
    return bool((await x.surroundings()).at(x.namespace, x.queue))


def _repair(supervised: Sequence[UnitStatus]) -> Repair | None:
    return Repair("restart", supervised[0].name) if supervised else None


def _stuck(identity: str, state: str, supervised: Sequence[UnitStatus], restart: str) -> Check:
    if state == "hung":
        return Check(
            "worker", "fail", f"{identity} hangs: its event loop does not run", restart, repair=_repair(supervised)
        )
    pid = pid_of(identity) or next((process.pid for process in supervised if process.pid), None)
    return Check(
        "worker",
        "fail",
        f"{identity} is suspended (SIGSTOP) and takes nothing",
        f"resume it: `kill -CONT {pid or 'PID'}`, or {restart}",
        repair=_repair(supervised),
    )


async def queue(x: Examination) -> Check:
    """What waits to be taken, and for how long."""
    skip = await needs_server(x, "queue")
    if skip is not None:
        return skip
    temporal = await x.temporal()
    states = await asyncio.gather(*(temporal.queue_state(x.queue, task_type) for task_type in TaskType))
    counts = [state.stats.approximate_backlog_count for state in states]
    oldest = max(proto.span(state.stats.approximate_backlog_age) for state in states)
    if not any(counts):
        return Check("queue", "ok", f"{x.queue}: nothing waits")
    waits = f"{counts[0]} workflow tasks and {counts[1]} activities wait in {x.queue}, the oldest for {seconds(oldest)}"
    if oldest < PATIENCE:
        return Check("queue", "ok", waits)
    if not (await x.surroundings()).alive(x.namespace, x.queue):
        return skipped("queue", "worker", waits)
    return Check(
        "queue", "warn", waits, "the workers are too slow or too few: `mika up worker=2`, or look at `mika logs worker`"
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """One workflow of a list with its diagnosis."""

    info: Any
    diagnosis: Diagnosis

    @property
    def id(self) -> str:
        return str(self.info.execution.workflow_id)


async def judged(x: Examination) -> tuple[list[Judged], list[Judged]]:
    """The running workflows, and those that ended badly within RECENT; the newest of each, judged."""
    temporal, surroundings = await x.temporal(), await x.surroundings()
    since = (datetime.now(UTC) - RECENT).strftime("%Y-%m-%dT%H:%M:%SZ")
    queries = [
        ("ExecutionStatus = 'Running'", _MOST_RUNNING),
        (f"CloseTime > '{since}' AND ExecutionStatus IN ('Failed', 'TimedOut')", _MOST_CLOSED),
    ]

    async def listed(query: str, most: int) -> list[Judged]:
        infos = await temporal.workflows(query, most)
        now = await x.skew() + datetime.now(UTC).timestamp()
        diagnoses = await asyncio.gather(
            *(diagnose(temporal, info.execution, surroundings, now=now) for info in infos),
            return_exceptions=True,  # one that is deleted meanwhile is not a finding
        )
        return [
            Judged(info, diagnosis)
            for info, diagnosis in zip(infos, diagnoses, strict=True)
            if not isinstance(diagnosis, BaseException)
        ]

    running, closed = await asyncio.gather(*(listed(query, most) for query, most in queries))
    return running, closed


async def workflows(x: Examination) -> Check:
    """Messages that hang now, and those that failed a moment ago."""
    skip = await needs_server(x, "workflows")
    if skip is not None:
        return skip
    running, closed = await x.once("judged", lambda: judged(x))
    ours = [one for one in running if _is_ours(one.info.task_queue, x.queue)]
    hanging = [one for one in ours if one.diagnosis.cause in HANGING]
    if hanging:
        first = hanging[-1]  # the oldest: the list begins with the newest
        more = (
            f"{len(hanging)} of {len(ours)} running workflows hang, such as"
            if len(hanging) > 1
            else "a workflow hangs:"
        )
        finding = f"{more} {first.id}: {first.diagnosis.cause}, {first.diagnosis.finding}"[:300]
        alive = (await x.surroundings()).alive(x.namespace, x.queue)
        if first.diagnosis.cause != Cause.WORKFLOW_TASK_FAILING and not alive:
            return skipped("workflows", "worker", finding)
        return Check("workflows", "fail", finding, f"{first.diagnosis.fix} (`mika doctor --workflow {first.id}`)"[:400])
    retrying = [one for one in ours if one.diagnosis.cause not in FINE]
    bad = [one for one in closed if _is_ours(one.info.task_queue, x.queue)]
    for found, what in ((retrying, "running"), (bad, f"of the last {seconds(RECENT.total_seconds())}")):
        if found:
            first = found[0]
            count = f"{len(found)} {what} in trouble" if what == "running" else f"{len(found)} {what} failed"
            return Check(
                "workflows",
                "warn",
                f"{count}, the latest {first.id}: {first.diagnosis.cause}, {first.diagnosis.finding}"[:300],
                f"{first.diagnosis.fix} (`mika doctor --workflow {first.id}`)"[:400],
            )
    return Check("workflows", "ok", f"{len(ours)} running, none failed within {seconds(RECENT.total_seconds())}")


def _is_ours(queue: str, configured: str) -> bool:
    return queue == configured or near_miss(configured, [queue]) is not None


async def timeouts(x: Examination) -> Check:
    """Limits that cannot work. That a run is no longer than its execution is checked where settings are read.

    Steps cannot exceed a run: the workflow gives each of them a part of what is left of it.
    """
    run, task = x.config.number("WORKFLOW_RUN_TIMEOUT"), x.config.number("WORKFLOW_TASK_TIMEOUT")
    if task >= run:
        return Check(
            "timeouts",
            "warn",
            f"WORKFLOW_TASK_TIMEOUT ({task:g} s) leaves nothing of a run ({run:g} s): a hang is noticed too late",
            f"set WORKFLOW_TASK_TIMEOUT={min(10.0, run / 2):g} in .env, then `mika down` and `mika up`",
        )
    found = f"run {run:g} s, workflow task {task:g} s"
    if await needs_server(x, "timeouts") is not None:
        return Check("timeouts", "ok", found)
    _, closed = await x.once("judged", lambda: judged(x))
    slow = [one for one in closed if one.diagnosis.cause == Cause.TIMED_OUT_SLOW and one.info.task_queue == x.queue]
    if slow:
        return Check(
            "timeouts", "warn", f"too short for {slow[0].id}: {slow[0].diagnosis.finding}"[:300], slow[0].diagnosis.fix
        )
    return Check("timeouts", "ok", found)
