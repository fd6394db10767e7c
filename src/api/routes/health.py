"""`GET /healthz`: this process is up. `GET /readyz`: a message would be answered now."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, DescribeTaskQueueRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from temporalio.client import Client

    from src.config import Settings
    from src.history.base import History

router = APIRouter()

_CHECK_TIMEOUT = 2.0
_RPC = timedelta(seconds=_CHECK_TIMEOUT)
# An idle worker's poll is renewed once a minute, so a younger entry proves nothing about the last minute: a worker that
# was killed looks ready until then. Who needs to know at once asks the worker's supervisor, not this.
_FRESH_POLL = 70.0


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    state = request.app.state
    checks: dict[str, Awaitable[str]] = {
        "temporal": _temporal(state.client),
        "worker": _worker(state.client, state.settings),
        "history": _history(state.history),
    }
    results = dict(zip(checks, await asyncio.gather(*map(_check, checks.values())), strict=True))
    ready = all(result["state"] == "ready" for result in results.values())
    body = {"status": "ready" if ready else "unavailable", **results}
    return JSONResponse(body, 200 if ready else 503)


async def _check(work: Awaitable[str]) -> dict[str, Any]:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT):
            return {"state": "ready", "detail": await work}
    except TimeoutError:
        return {"state": "unavailable", "detail": f"no answer within {_CHECK_TIMEOUT:g} s"}
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return {"state": "unavailable", "detail": " ".join(str(error).split())[:300]}


async def _temporal(client: Client) -> str:
    await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace), timeout=_RPC)
    return f"namespace {client.namespace}"


async def _worker(client: Client, settings: Settings) -> str:
    queue = settings.temporal_task_queue
    for kind in (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY):
        request = DescribeTaskQueueRequest(
            namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind
        )
        description = await client.workflow_service.describe_task_queue(request, timeout=_RPC)
        polls = [poller.last_access_time.ToNanoseconds() / 1e9 for poller in description.pollers]
        if not any(time.time() - poll < _FRESH_POLL for poll in polls):
            raise RuntimeError(f"no worker polls {queue}")
    return f"polling {queue}"


async def _history(history: History) -> str:
    return await history.ping()
