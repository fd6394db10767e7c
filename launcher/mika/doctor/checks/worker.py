"""Checks of the workers and of their queue."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mika.diagnosis import proto
from mika.diagnosis.model import PATIENCE, Poller, Surroundings, seconds
from mika.diagnosis.proto import TaskType
from mika.diagnosis.untaken import describe, find_misplaced, pid_of
from mika.doctor.check import Check, fail, ok, skipped, warn
from mika.doctor.checks.server import needs_server
from mika.doctor.examination import Examination
from mika.doctor.units import not_ok, not_working, unit_check
from mika.reason import Repair
from mika.status import UnitStatus

_RECONNECTS = 60.0
"""Seconds after the start of the server for which a worker that does not poll is taken to be reconnecting."""


async def worker(exam: Examination) -> Check:
    """A worker takes tasks of both types from our queue."""
    units = await exam.units("worker")
    if unit := not_working(units):
        return await unit_check(exam, "worker", unit)
    unit = not_ok(units)
    if skip := await needs_server(exam, "worker"):
        return skip if skip.because or unit is None else await unit_check(exam, "worker", unit)
    surroundings = await exam.surroundings()
    listed = surroundings.at(exam.namespace, exam.queue)
    if not units and not listed and not exam.commands["worker"]:
        return skipped("worker", "there is no worker in the Procfile")
    alive = [poller for poller in listed if poller.state == "alive"]
    check = await _of_pollers(exam, alive, units) if alive else await _of_none(exam, listed, surroundings)
    if unit is not None and (check is None or check.status == "ok"):
        return await unit_check(exam, "worker", unit)
    return check or await _not_polling(exam, units, listed, surroundings)


async def _of_pollers(exam: Examination, alive: Sequence[Poller], units: Sequence[UnitStatus]) -> Check:
    complete = [poller for poller in alive if poller.workflows and poller.activities]
    if complete:
        more = f" and {len(complete) - 1} more" if len(complete) > 1 else ""
        first = complete[0]
        return ok("worker", f"{first.identity}{more} polls {exam.queue}, last seen {seconds(first.age)} ago")
    if any(poller.workflows for poller in alive) and any(poller.activities for poller in alive):
        return ok("worker", f"{len(alive)} workers poll {exam.queue}, workflows and activities apart")
    if reconnects := await _reconnects(exam, units):  # its pollers come back one after the other
        return reconnects
    missing = "activities" if alive[0].workflows else "workflow tasks"
    text = f"{alive[0].identity} polls {exam.queue}, but no {missing}"
    return fail("worker", text, "register both in that worker and start it again")


async def _of_none(exam: Examination, listed: Sequence[Poller], surroundings: Surroundings) -> Check | None:
    """Where no worker polls: one that is stuck, or polls something else; None if there is none of these."""
    stuck = next((poller for poller in listed if poller.state in ("stopped", "hung")), None)
    if stuck is not None:
        return await _stuck(exam, stuck, surroundings)
    misplaced = find_misplaced(exam.queue, surroundings)
    if misplaced is None:
        return None
    text = f"no worker polls {exam.queue}: {misplaced.worker.identity} polls {misplaced.place}"
    return fail("worker", text, misplaced.fix)


async def _stuck(exam: Examination, poller: Poller, surroundings: Surroundings) -> Check:
    unit = await exam.worker_unit(poller.identity)
    pid = unit.pid if unit is not None else pid_of(poller.identity)
    fix = f"`mika restart {unit.name}`" if unit is not None else surroundings.worker.how_to_restart()
    repair = Repair("restart", unit.name) if unit is not None else None
    if poller.state == "hung":
        return fail("worker", f"{poller.identity} hangs: its event loop does not run", fix, repair)
    text = f"{poller.identity} is suspended (SIGSTOP) and takes nothing"
    return fail("worker", text, f"resume it: `kill -CONT {pid or 'PID'}`, or {fix}", repair)


async def _not_polling(
    exam: Examination, units: Sequence[UnitStatus], listed: Sequence[Poller], surroundings: Surroundings
) -> Check:
    """No worker polls, and nothing says why; those of the supervisor, if any, are well."""
    last = f" ({describe(listed[0])})" if listed else ""
    if not units:
        return fail("worker", f"no worker polls {exam.queue}{last}", surroundings.worker.how_to_start())
    if reconnects := await _reconnects(exam, units):
        return reconnects
    name = units[0].name
    text = f"{name} runs, but does not poll {exam.queue}{last}"
    fix = f"`mika logs {name}` says why; if that does not help, `mika restart {name}`"
    return fail("worker", text, fix, Repair("restart", name))


async def _reconnects(exam: Examination, units: Sequence[UnitStatus]) -> Check | None:
    """What to say of workers while the server has only just been started."""
    server = await exam.temporal_unit()
    if not units or server is None or server.uptime_s is None or server.uptime_s >= _RECONNECTS:
        return None
    name = units[0].name
    text = f"{name} is reconnecting: Temporal was started {seconds(server.uptime_s)} ago"
    return fail("worker", text, f"wait some seconds; if that does not help, `mika restart {name}`")


async def queue(exam: Examination) -> Check:
    """What waits to be taken, and for how long."""
    if skip := await needs_server(exam, "queue"):
        return skip
    temporal = await exam.temporal()
    states = await asyncio.gather(*(temporal.queue_state(exam.queue, task_type) for task_type in TaskType))
    counts = [state.stats.approximate_backlog_count for state in states]
    oldest = max(proto.span(state.stats.approximate_backlog_age) for state in states)
    if not any(counts):
        return ok("queue", f"{exam.queue}: nothing waits")
    waiting = f"{counts[0]} workflow tasks and {counts[1]} activities wait"
    text = f"{waiting} in {exam.queue}, the oldest for {seconds(oldest)}"
    if oldest < PATIENCE:
        return ok("queue", text)
    if not (await exam.surroundings()).alive(exam.namespace, exam.queue):
        return skipped("queue", text, "worker")
    name = next(iter(exam.commands["worker"]), "worker")
    fix = f"the workers are too slow or too few: `mika up {name}=2`, or look at `mika logs {name}`"
    return warn("queue", text, fix)
