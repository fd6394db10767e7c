"""The questions to the server, over a connection of the caller's (`client.workflow_service` of either kind of client).

Each may raise what the SDK raises: RPCError, and RuntimeError while there is no connection.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mika.diagnosis import proto
from mika.diagnosis.model import Diagnosis, Poller, Surroundings
from mika.diagnosis.workflow import classify

if TYPE_CHECKING:
    from temporalio.service import WorkflowService

RPC_TIMEOUT = timedelta(seconds=2)
FRESH = 70.0
"""Seconds: an idle worker renews its poll once a minute, so a younger entry may be one of a worker that lives."""
_PAGE = 1000
_TAIL = 60
_MOST_QUEUES = 20
_WORKER_RUNNING = 1


async def describe(service: WorkflowService, namespace: str, workflow_id: str, run_id: str = "") -> Any:
    from temporalio.api.common.v1 import WorkflowExecution
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest

    execution = WorkflowExecution(workflow_id=workflow_id, run_id=run_id)
    request = DescribeWorkflowExecutionRequest(namespace=namespace, execution=execution)
    return await service.describe_workflow_execution(request, timeout=RPC_TIMEOUT, retry=False)


async def history(service: WorkflowService, namespace: str, execution: Any, *, whole: bool = False) -> list[Any]:
    """Events in order: the first page of `whole`, else the newest."""
    from temporalio.api.workflowservice.v1 import (
        GetWorkflowExecutionHistoryRequest,
        GetWorkflowExecutionHistoryReverseRequest,
    )

    if whole:
        request = GetWorkflowExecutionHistoryRequest(namespace=namespace, execution=execution, maximum_page_size=_PAGE)
        answer: Any = await service.get_workflow_execution_history(request, timeout=RPC_TIMEOUT, retry=False)
        return list(answer.history.events)
    newest = GetWorkflowExecutionHistoryReverseRequest(
        namespace=namespace, execution=execution, maximum_page_size=_TAIL
    )
    answer = await service.get_workflow_execution_history_reverse(newest, timeout=RPC_TIMEOUT, retry=False)
    return list(reversed(answer.history.events))


async def pollers(
    service: WorkflowService,
    namespace: str,
    queue: str,
    *,
    fresh: float = FRESH,
    now: float | None = None,
    process: Callable[[str], str] = lambda _identity: "",
) -> list[Poller]:
    """The workers of one queue. `process` may know more of an identity: `gone` or `stopped`, else an empty string."""
    answers = await asyncio.gather(*(queue_state(service, namespace, queue, kind) for kind in (1, 2)))
    now = time.time() if now is None else now
    seen = [{p.identity: now - proto.at(p.last_access_time) for p in answer.pollers} for answer in answers]
    found = []
    for identity in sorted({*seen[0], *seen[1]}):
        ages = [max(0.0, ages[identity]) for ages in seen if identity in ages]
        state = process(identity) or ("alive" if min(ages) <= fresh else "stale")
        found.append(Poller(identity, namespace, queue, max(ages), identity in seen[0], identity in seen[1], state))
    return found


async def queue_state(service: WorkflowService, namespace: str, queue: str, kind: int) -> Any:
    """DescribeTaskQueue; `kind` 1 is the queue of workflow tasks, 2 that of activities."""
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

    request = DescribeTaskQueueRequest(
        namespace=namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=kind,  # type: ignore[arg-type]  # the stub wants the enum's own wrapper
        report_stats=True,
    )
    return await service.describe_task_queue(request, timeout=RPC_TIMEOUT, retry=False)


async def heartbeating_queues(service: WorkflowService, namespace: str) -> set[str]:
    """Queues of workers that send heartbeats: all of a current SDK, after their first minute. Empty on old servers."""
    from temporalio.api.workflowservice.v1 import ListWorkersRequest
    from temporalio.service import RPCError

    try:
        answer = await service.list_workers(
            ListWorkersRequest(namespace=namespace, page_size=100), timeout=RPC_TIMEOUT, retry=False
        )
    except RPCError:
        return set()
    beats = [info.worker_heartbeat for info in answer.workers_info]
    return {beat.task_queue for beat in beats if beat.status == _WORKER_RUNNING}


async def recent_queues(service: WorkflowService, namespace: str) -> set[str]:
    """Queues of the latest workflows."""
    from temporalio.api.workflowservice.v1 import ListWorkflowExecutionsRequest

    request = ListWorkflowExecutionsRequest(namespace=namespace, page_size=100)
    answer = await service.list_workflow_executions(request, timeout=RPC_TIMEOUT, retry=False)
    return {found.task_queue for found in answer.executions if not found.task_queue.startswith("temporal-sys-")}


async def namespaces(service: WorkflowService, limit: int = 10) -> list[str]:
    from temporalio.api.workflowservice.v1 import ListNamespacesRequest

    answer = await service.list_namespaces(ListNamespacesRequest(page_size=limit), timeout=RPC_TIMEOUT, retry=False)
    names = [described.namespace_info.name for described in answer.namespaces]
    return [name for name in names if name != "temporal-system"]


def spellings(queue: str) -> set[str]:
    """What a queue's name is often mistyped as."""
    words = {queue.replace("_", "-"), queue.replace("-", "_"), queue.replace("-", "").replace("_", ""), queue.lower()}
    return words - {queue}


async def look_around(
    service: WorkflowService,
    around: Surroundings,
    *,
    fresh: float = FRESH,
    now: float | None = None,
    process: Callable[[str], str] = lambda _identity: "",
    also: Iterable[str] = (),
) -> Surroundings:
    """`around` with the workers that are there: of its queue, and where there are none, those that look elsewhere.

    `also`: more queues that are of interest.
    """
    own = {around.queue, *also} - {""}

    async def ask(namespace: str, queues: Iterable[str]) -> list[Poller]:
        wanted = sorted(queues)[:_MOST_QUEUES]
        found = await asyncio.gather(
            *(pollers(service, namespace, queue, fresh=fresh, now=now, process=process) for queue in wanted)
        )
        return [poller for pollers_there in found for poller in pollers_there]

    here = await ask(around.namespace, own)
    if all(any(p.queue == queue and p.state == "alive" for p in here) for queue in own):
        return replace(around, pollers=tuple(here))
    more = set().union(*(spellings(queue) for queue in own))
    named = await asyncio.gather(
        heartbeating_queues(service, around.namespace), recent_queues(service, around.namespace), return_exceptions=True
    )
    for queues in named:
        more |= queues if isinstance(queues, set) else set()
    tasks = [ask(around.namespace, more - own)]
    try:
        tasks += [ask(other, own) for other in await namespaces(service) if other != around.namespace]
    except Exception:  # noqa: BLE001 - a server may not let everybody list namespaces: then those are not looked at
        tasks = tasks[:1]
    found = await asyncio.gather(*tasks, return_exceptions=True)
    elsewhere = [poller for there in found if isinstance(there, list) for poller in there]
    return replace(around, pollers=(*here, *elsewhere))


async def diagnose(
    service: WorkflowService,
    workflow_id: str,
    around: Surroundings,
    *,
    run_id: str = "",
    now: float | None = None,
    whole: bool = False,
) -> tuple[Any, Sequence[Any], Diagnosis]:
    """Read description and history once, and judge. Raises RPCError NOT_FOUND for an unknown id."""
    description = await describe(service, around.namespace, workflow_id, run_id)
    info = description.workflow_execution_info
    needs_history = whole or info.status not in (proto.COMPLETED, proto.CONTINUED_AS_NEW)
    events = await history(service, around.namespace, info.execution, whole=whole) if needs_history else []
    return description, events, classify(description, events, around, now=now)
