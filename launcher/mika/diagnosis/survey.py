"""Several questions put together: where the workers are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from mika.diagnosis import proto
from mika.diagnosis.model import (
    FRESH,
    Cause,
    Crowd,
    Diagnosis,
    Poller,
    ProcessState,
    Surroundings,
    process_unknown,
)
from mika.diagnosis.proto import TaskType
from mika.diagnosis.temporal import Temporal, literal
from mika.diagnosis.versions import is_current, version_of
from mika.frozen import frozen

if TYPE_CHECKING:
    from temporalio.api.workflow.v1 import PendingActivityInfo, WorkflowExecutionInfo

_MOST_QUEUES, _MOST_RUNNING = 20, 50


def needs_crowd(diagnosis: Diagnosis) -> bool:
    """Whether it says that there was no worker, which `crowd` may refute."""
    return diagnosis.cause == Cause.TIMED_OUT_NO_WORKER


async def crowd(temporal: Temporal, info: WorkflowExecutionInfo) -> Crowd:
    """What else was in the task queue of a workflow that has ended, while it was open."""
    start, end = (f"'{time.ToJsonString()}'" for time in (info.start_time, info.close_time))
    queue = f"TaskQueue = {literal(info.task_queue)}"
    before, completed = await asyncio.gather(
        temporal.count_workflows(f"{queue} AND StartTime < {start} AND (CloseTime > {start} OR CloseTime IS NULL)"),
        temporal.count_workflows(
            f"{queue} AND ExecutionStatus = 'Completed' AND CloseTime > {start} AND CloseTime < {end}"
        ),
    )
    return Crowd(before, completed, proto.at(info.close_time) - proto.at(info.start_time))


def spellings(queue: str) -> set[str]:
    """What a queue's name is often mistyped as."""
    words = {queue.replace("_", "-"), queue.replace("-", "_"), queue.replace("-", "").replace("_", ""), queue.lower()}
    return words - {queue}


async def find_workers(
    temporal: Temporal,
    surroundings: Surroundings,
    *,
    fresh: float = FRESH,
    now: float | None = None,
    process: Callable[[str], ProcessState] = process_unknown,
    also: Iterable[str] = (),
) -> Surroundings:
    """`surroundings` with the workers of its queues; where one has none, also with those that poll elsewhere.

    `also`: more queues that are of interest. `fresh`, `now` and `process` as in `pollers`.
    """
    own = {*surroundings.queues, *also} - {""}
    ask = partial(_pollers, fresh=fresh, now=now, process=process)
    workers = await ask(temporal, own)
    if all(any(worker.queue == queue and worker.state == "alive" for worker in workers) for queue in own):
        return replace(surroundings, pollers=tuple(workers))
    searches = [ask(temporal, await other_queues(temporal, own) - own)]
    try:
        names = await temporal.namespaces()
    except Exception:  # noqa: BLE001 - a server may not let everybody list namespaces: then those are not searched
        names = []
    searches += [ask(temporal.in_namespace(name), own) for name in names if name != temporal.namespace]
    for result in await asyncio.gather(*searches, return_exceptions=True):
        workers += result if isinstance(result, list) else []
    return replace(surroundings, pollers=tuple(workers))


@frozen
class Queue:
    """A task queue: what waits in it, about `oldest` seconds at most, and its workers."""

    name: str
    workflow_tasks: int
    activities: int
    oldest: float
    workers: tuple[Poller, ...] = ()

    @property
    def backlog(self) -> int:
        return self.workflow_tasks + self.activities

    @property
    def alive(self) -> int:
        """How many workers take its tasks now."""
        return sum(worker.state == "alive" for worker in self.workers)

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "workflow_tasks": self.workflow_tasks,
            "activities": self.activities,
            "oldest_s": round(self.oldest, 1),
            "pollers": self.alive,
        }


async def look_at(
    temporal: Temporal,
    queue: str,
    *,
    fresh: float = FRESH,
    now: float | None = None,
    process: Callable[[str], ProcessState] = process_unknown,
) -> Queue:
    """One queue, as it is now.

    `fresh`: seconds without a poll after which a worker counts as stale. `now`: the server's time, in seconds since
    the epoch. `process`: what the caller knows about the process behind an identity.
    """
    answers = await asyncio.gather(*(temporal.queue_state(queue, task_type) for task_type in TaskType))
    stats = [answer.stats for answer in answers]
    now = time.time() if now is None else now
    ages = [{p.identity: max(0.0, now - proto.at(p.last_access_time)) for p in answer.pollers} for answer in answers]
    versions = {p.identity: version_of(p) for answer in answers for p in answer.pollers}
    current = {
        p.identity
        for answer in answers
        for p in answer.pollers
        if is_current(versions[p.identity], answer.versioning_info)
    }
    # One whose slots for activities are all taken does not poll for more: the server soon lists it for workflows alone.
    is_waited_for = stats[1].approximate_backlog_count and not ages[0].keys() <= ages[1].keys()
    busy = await taken_activities(temporal) if is_waited_for else {}
    workers = []
    for identity in sorted({*ages[0], *ages[1]}):
        own_ages = [ages_of_type[identity] for ages_of_type in ages if identity in ages_of_type]
        workers.append(
            Poller(
                identity,
                temporal.namespace,
                queue,
                max(own_ages),
                workflows=identity in ages[0],
                activities=identity in ages[1] or identity in busy,
                version=versions[identity],
                is_current=identity in current,
                state=process(identity) or ("alive" if min(own_ages) <= fresh else "stale"),
            )
        )
    oldest = max(proto.span(each.approximate_backlog_age) for each in stats)
    waiting = [each.approximate_backlog_count for each in stats]
    return Queue(queue, waiting[0], waiting[1], oldest, tuple(workers))


async def taken_activities(
    temporal: Temporal, is_wanted: Callable[[PendingActivityInfo], bool] = lambda _: True
) -> dict[str, set[str]]:
    """The types of the activities that each worker, by its identity, runs now, and that have not met their timeout."""
    running = await temporal.workflows("ExecutionStatus = 'Running'", _MOST_RUNNING)
    descriptions = await asyncio.gather(
        *(temporal.describe(info.execution.workflow_id, info.execution.run_id) for info in running),
        return_exceptions=True,  # some have ended meanwhile
    )
    taken: dict[str, set[str]] = {}
    for description in descriptions:
        for activity in () if isinstance(description, BaseException) else description.pending_activities:
            if proto.is_taken(activity.state) and is_wanted(activity):
                taken.setdefault(activity.last_worker_identity, set()).add(activity.activity_type.name)
    return taken


async def _pollers(
    temporal: Temporal,
    queues: Iterable[str],
    *,
    fresh: float,
    now: float | None,
    process: Callable[[str], ProcessState],
) -> list[Poller]:
    wanted = sorted(queues)[:_MOST_QUEUES]
    of_queues = await asyncio.gather(
        *(look_at(temporal, queue, fresh=fresh, now=now, process=process) for queue in wanted)
    )
    return [worker for queue in of_queues for worker in queue.workers]


async def other_queues(temporal: Temporal, queues: Iterable[str]) -> set[str]:
    """Where a worker of one of `queues` may be by mistake; a question that fails adds nothing."""
    names = set().union(*(spellings(queue) for queue in queues))
    answers = await asyncio.gather(temporal.heartbeating_queues(), recent_queues(temporal), return_exceptions=True)
    return names.union(*(answer for answer in answers if isinstance(answer, set)))


async def recent_queues(temporal: Temporal) -> set[str]:
    """Queues of the latest workflows."""
    return {info.task_queue for info in await temporal.workflows() if not info.task_queue.startswith("temporal-sys-")}
