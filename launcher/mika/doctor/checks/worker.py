"""Checks of the workers and of their queues."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

from mika.diagnosis import proto
from mika.diagnosis.model import PATIENCE, Poller, Surroundings, seconds
from mika.diagnosis.proto import TaskType
from mika.diagnosis.survey import look_at
from mika.diagnosis.untaken import SUSPENDED, describe, find_misplaced, how_to_resume, pid_of
from mika.diagnosis.versions import how_to_make_current
from mika.doctor.check import Check, fail, ok, skipped, warn
from mika.doctor.checks.server import needs_server
from mika.doctor.examination import Examination
from mika.doctor.units import not_ok, not_working, unit_check
from mika.doctor.workers import unit_of, units_of
from mika.reason import Repair
from mika.status import UnitStatus
from mika.wording import _, listed

_RECONNECTS = 60.0
"""Seconds after the start of the server for which a worker that does not poll is taken to be reconnecting."""


async def worker(exam: Examination) -> Sequence[Check]:
    """A line for each task queue: whether a worker takes its tasks."""
    queues = await exam.queues()
    if not queues:
        hint = _('no task queue is known: `ready = "worker:QUEUE"` in the table of a process names it')
        return [await needs_server(exam, "worker") or skipped("worker", hint)]
    checks = await asyncio.gather(*(of_queue(exam, queue) for queue in queues))
    return list(dict.fromkeys(checks))  # the server is down for all of them


def of_queue(exam: Examination, queue: str) -> Awaitable[Check]:
    """Whether a worker takes the tasks of this queue."""
    return exam.once(f"worker of {queue}", lambda: _of_queue(exam, queue))


async def _of_queue(exam: Examination, queue: str) -> Check:
    units = await units_of(exam, queue)
    if unit := not_working(units):
        return await unit_check(exam, "worker", unit)
    unit = not_ok(units)
    if skip := await needs_server(exam, "worker"):
        return skip if skip.because or unit is None else await unit_check(exam, "worker", unit)
    surroundings = (await exam.surroundings([queue])).around(queue)
    listed = surroundings.at(exam.namespace, queue)
    alive = [poller for poller in listed if poller.state == "alive"]
    check = await (
        _of_pollers(exam, queue, alive, units) if alive else _of_none(exam, queue, listed, units, surroundings)
    )
    if unit is not None and (check is None or check.status == "ok"):
        return await unit_check(exam, "worker", unit)
    if check is not None and check.status == "ok" and (held := [u.held_back for u in units if u.held_back]):
        return Check("worker", "warn", held[0])
    return check or await _not_polling(exam, queue, units, listed, surroundings)


async def _of_pollers(exam: Examination, queue: str, alive: Sequence[Poller], units: Sequence[UnitStatus]) -> Check:
    first, workflows, activities = alive[0], [p for p in alive if p.workflows], [p for p in alive if p.activities]
    if workflows and activities:
        complete = [poller for poller in alive if poller.workflows and poller.activities]
        if not complete:
            text = _("{count} workers poll {queue}, workflows and activities apart", count=len(alive), queue=queue)
            return ok("worker", text)
        who = complete[0].who
        if len(complete) > 1:
            who = _("{worker} and {count} more", worker=who, count=len(complete) - 1)
        time = seconds(complete[0].age)
        return ok("worker", _("{worker} polls {queue}, last seen {time} ago", worker=who, queue=queue, time=time))
    missing = TaskType.ACTIVITY if workflows else TaskType.WORKFLOW
    # A worker may well have only one type. The bot's needs both; with others, it shows when a task waits.
    is_needed = queue == exam.queue and await exam.is_bot()
    state = await (await exam.temporal()).queue_state(queue, missing)
    if not is_needed and proto.span(state.stats.approximate_backlog_age) < PATIENCE:
        return ok("worker", _only(first, queue, missing))
    if reconnects := await _reconnects(exam, units):  # its pollers come back one after the other
        return reconnects
    text = (
        _("{worker} polls {queue}, but no activities", worker=first.who, queue=queue)
        if workflows
        else _("{worker} polls {queue}, but no workflow tasks", worker=first.who, queue=queue)
    )
    return fail("worker", text, _("register workflows and activities in that worker, and start it again"))


def _only(poller: Poller, queue: str, missing: TaskType) -> str:
    """One that takes only one type of tasks, and may well do so."""
    worker, time = poller.who, seconds(poller.age)
    if missing is TaskType.ACTIVITY:
        return _(
            "{worker} polls {queue}, only for workflow tasks, last seen {time} ago",
            worker=worker,
            queue=queue,
            time=time,
        )
    return _("{worker} polls {queue}, only for activities, last seen {time} ago", worker=worker, queue=queue, time=time)


async def _of_none(
    exam: Examination,
    queue: str,
    listed: Sequence[Poller],
    units: Sequence[UnitStatus],
    surroundings: Surroundings,
) -> Check | None:
    """Where no worker polls: one that is stuck, or polls something else; None if there is none of these."""
    stuck = next((poller for poller in listed if poller.state in ("stopped", "hung")), None)
    if stuck is not None:
        status = await exam.status()
        return _stuck(stuck, unit_of(exam, stuck.identity, status) or next(iter(units), None), surroundings)
    misplaced = find_misplaced(queue, surroundings)
    if misplaced is None:
        return None
    text = _(
        "no worker polls {queue}: {worker} polls {place}",
        queue=queue,
        worker=misplaced.worker.who,
        place=misplaced.place,
    )
    return fail("worker", text, misplaced.fix)


def _stuck(poller: Poller, unit: UnitStatus | None, surroundings: Surroundings) -> Check:
    pid = pid_of(poller.identity) or (unit.pid if unit is not None else None)
    fix = f"`mika restart {unit.name}`" if unit is not None else surroundings.worker.how_to_restart()
    repair = Repair("restart", unit.name) if unit is not None else None
    if poller.state == "hung":
        text = _("{worker} hangs: its event loop does not run", worker=poller.who)
        return fail("worker", text, fix, repair)
    text = _("{worker} is {suspended} and takes nothing", worker=poller.who, suspended=SUSPENDED)
    return fail("worker", text, how_to_resume(pid, fix), repair)


async def _not_polling(
    exam: Examination, queue: str, units: Sequence[UnitStatus], listed: Sequence[Poller], surroundings: Surroundings
) -> Check:
    """No worker polls, and nothing says why; those of the supervisor, if any, are well."""
    last = _(" ({poller})", poller=describe(listed[0])) if listed else ""
    if not units:
        text = _("no worker polls {queue}{last}", queue=queue, last=last)
        return fail("worker", text, surroundings.worker.how_to_start())
    if reconnects := await _reconnects(exam, units):
        return reconnects
    name = units[0].name
    text = _("{name} runs, but does not poll {queue}{last}", name=name, queue=queue, last=last)
    fix = _("`mika logs {name}` may say why; if that does not help, `mika restart {name}`", name=name)
    return fail("worker", text, fix, Repair("restart", name))


async def _reconnects(exam: Examination, units: Sequence[UnitStatus]) -> Check | None:
    """What to say of workers that are older than the server, while that has only just been started."""
    server = await exam.temporal_unit()
    if not units or server is None or server.uptime_s is None or server.uptime_s >= _RECONNECTS:
        return None
    if all(unit.is_ok and (unit.uptime_s or 0.0) < server.uptime_s for unit in units):
        return None  # they were started after it, and are ready: they have polled
    name = units[0].name
    text = _("{name} is reconnecting: Temporal was started {time} ago", name=name, time=seconds(server.uptime_s))
    fix = _("wait some seconds; if that does not help, `mika restart {name}`", name=name)
    return fail("worker", text, fix)


async def queue(exam: Examination) -> Check:
    """What waits to be taken, and for how long."""
    if skip := await needs_server(exam, "queue"):
        return skip
    queues = await exam.queues()
    if not queues:
        return skipped("queue", _("no task queue is known"))
    temporal = await exam.temporal()
    waiting = [found for found in await asyncio.gather(*(look_at(temporal, name) for name in queues)) if found.backlog]
    if not waiting:
        return ok("queue", _("{queues}: nothing waits", queues=listed(queues)))
    worst = max(waiting, key=lambda found: found.oldest)
    text = _(
        "{workflow_tasks} workflow tasks and {activities} activities wait in {queue}, the oldest for {time}",
        workflow_tasks=worst.workflow_tasks,
        activities=worst.activities,
        queue=worst.name,
        time=seconds(worst.oldest),
    )
    if worst.oldest < PATIENCE:
        return ok("queue", text)
    surroundings = await exam.surroundings()
    alive = surroundings.alive(exam.namespace, worst.name)
    if not alive:
        return skipped("queue", text, "worker")
    if not any(poller.is_current for poller in alive):
        return warn("queue", text, _make_current(alive[0], surroundings))
    if any(poller.version is not None for poller in alive):
        pinned = _(
            "the workers are too slow or too few, or what waits is pinned to another version: see `mika workflows`"
        )
        return warn("queue", text, pinned)
    process = next((process.name for process in await exam.processes() if worst.name in process.queues), "")
    fix = (
        _("the workers are too slow or too few: `mika up {name}=2`, or look at `mika logs {name}`", name=process)
        if process
        else _("the workers are too slow or too few")
    )
    return warn("queue", text, fix)


def _make_current(worker: Poller, surroundings: Surroundings) -> str:
    """The fix where no worker has the version that gets the tasks."""
    if command := how_to_make_current(worker, surroundings):
        return _("make the version of {worker} the current one: {command}", worker=worker.who, command=command)
    return _("start a worker of the current version")
