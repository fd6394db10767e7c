"""Several questions put together: where the workers are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from mika.diagnosis.model import FRESH, Poller, ProcessState, Surroundings, process_unknown
from mika.diagnosis.temporal import Temporal

_MOST_QUEUES = 20


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

    `also`: more queues that are of interest. `fresh`, `now` and `process` as in `Temporal.pollers`.
    """
    own = {*surroundings.queues, *also} - {""}
    ask = partial(_pollers, fresh=fresh, now=now, process=process)
    workers = await ask(temporal, own)
    if all(any(worker.queue == queue and worker.state == "alive" for worker in workers) for queue in own):
        return replace(surroundings, pollers=tuple(workers))
    searches = [ask(temporal, await _other_queues(temporal, own) - own)]
    try:
        names = await temporal.namespaces()
    except Exception:  # noqa: BLE001 - a server may not let everybody list namespaces: then those are not searched
        names = []
    searches += [ask(temporal.in_namespace(name), own) for name in names if name != temporal.namespace]
    for result in await asyncio.gather(*searches, return_exceptions=True):
        workers += result if isinstance(result, list) else []
    return replace(surroundings, pollers=tuple(workers))


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
        *(temporal.pollers(queue, fresh=fresh, now=now, process=process) for queue in wanted)
    )
    return [worker for of_queue in of_queues for worker in of_queue]


async def _other_queues(temporal: Temporal, queues: Iterable[str]) -> set[str]:
    """Where a worker of one of `queues` may be by mistake; a question that fails adds nothing."""
    names = set().union(*(spellings(queue) for queue in queues))
    answers = await asyncio.gather(temporal.heartbeating_queues(), recent_queues(temporal), return_exceptions=True)
    return names.union(*(answer for answer in answers if isinstance(answer, set)))


async def recent_queues(temporal: Temporal) -> set[str]:
    """Queues of the latest workflows."""
    return {info.task_queue for info in await temporal.workflows() if not info.task_queue.startswith("temporal-sys-")}
