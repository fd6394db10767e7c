"""What Temporal says: is the server usable, and does a worker of ours poll?

Ready means usable (facts measured for this project): the port is open before the server serves, it serves before the
namespace is there, and `describe_namespace` answers up to 0.7 s before a workflow can be started, since every service
caches "not found" for a second. So the last rung asks the other services, twice.

This uses the SDK's ServiceClient, not its Client: that is half the import time, and the launcher needs no workflows.
"""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Collection
from datetime import timedelta
from typing import TYPE_CHECKING

from mika.readiness.ladder import NotYet, Rung, describe
from mika.readiness.probes import http_ok, tcp

if TYPE_CHECKING:
    from temporalio.service import ServiceClient

RPC_TIMEOUT = timedelta(seconds=2)
_STARTED = 2  # PendingWorkflowTaskState: taken by a worker, not answered
WORKFLOW, ACTIVITY = 1, 2
"""`TaskQueueType` of temporal.api.enums.v1: two separate queues under one name."""


_importing = threading.Lock()


def preload() -> None:
    """Import the SDK now, in whatever thread this is: the server needs that long to start anyway.

    One thread at a time: its modules import each other in a circle, and a second thread would see half of one.
    """
    with _importing:
        import temporalio.api.workflowservice.v1
        import temporalio.service  # noqa: F401


class StuckTask(NotYet):
    """The server waits for this worker's answer, and has waited too long."""


class TemporalProbe:
    """Asks one server and namespace. Connects when first asked and again after a failure; every call has a deadline."""

    def __init__(self, host: str, port: int, namespace: str) -> None:
        self.host, self.port, self.namespace = host, port, namespace
        self.address = f"{host}:{port}"
        self._client: ServiceClient | None = None

    def rungs(self, task_queue: str) -> list[Rung]:
        """The ladder from an open port to a server on which a workflow can be started now."""
        return [
            Rung("port open", lambda: tcp(self.host, self.port)),
            Rung("connected", self.connect),
            Rung("serving", self.serving),
            Rung(f"namespace {self.namespace}", self.namespace_there),
            Rung("usable", lambda: self.usable(task_queue)),
        ]

    async def connect(self) -> str:
        if self._client is None:
            await asyncio.to_thread(preload)
            from temporalio.service import ConnectConfig, ServiceClient

            try:
                self._client = await ServiceClient.connect(ConnectConfig(target_host=self.address, identity="mika"))
            except RuntimeError as error:  # not an RPCError: facts/temporal.md, and not worth its Rust debug text
                raise NotYet(_connect_error(error, self.address)) from error
        return self.address

    async def serving(self) -> str:
        client = await self._connected()
        if not await client.check_health(timeout=RPC_TIMEOUT, retry=False):
            raise NotYet("the server answers NOT_SERVING")
        return "SERVING"

    async def namespace_there(self) -> str:
        client = await self._connected()
        from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest

        await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=self.namespace), timeout=RPC_TIMEOUT, retry=False
        )
        return f"namespace {self.namespace}"

    async def usable(self, task_queue: str) -> str:
        """Visibility, the namespace registry and matching answer, twice in a row."""
        for _ in range(2):
            await self.alive()
            await self.pollers(task_queue, WORKFLOW)
        return f"SERVING, namespace {self.namespace}"

    async def alive(self) -> str:
        """One cheap call that needs the database: a server whose PostgreSQL is gone still says SERVING."""
        client = await self._connected()
        from temporalio.api.workflowservice.v1 import CountWorkflowExecutionsRequest

        await client.workflow_service.count_workflow_executions(
            CountWorkflowExecutionsRequest(namespace=self.namespace), timeout=RPC_TIMEOUT, retry=False
        )
        return f"SERVING, namespace {self.namespace}"

    async def pollers(self, task_queue: str, queue_type: int) -> list[str]:
        """Identities in the poller list: they outlive a killed worker by minutes, so presence alone proves nothing."""
        client = await self._connected()
        from temporalio.api.taskqueue.v1 import TaskQueue
        from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

        answer = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=self.namespace,
                task_queue=TaskQueue(name=task_queue),
                task_queue_type=queue_type,  # type: ignore[arg-type]  # the stub wants the enum's own wrapper
            ),
            timeout=RPC_TIMEOUT,
            retry=False,
        )
        return [poller.identity for poller in answer.pollers]

    async def worker_polls(self, task_queue: str, identity: str, pids: Callable[[], Collection[int]]) -> str:
        """The worker with `identity`, or with the SDK's default `pid@host` for one of `pids()`, polls both types."""
        ours = self._identities(identity, pids)
        for queue_type, what in ((WORKFLOW, "workflow"), (ACTIVITY, "activity")):
            seen = await self.pollers(task_queue, queue_type)
            if not ours.intersection(seen):
                others = f" (others do: {', '.join(sorted(seen)[:3])})" if seen else ""
                raise NotYet(f"it does not poll {what} tasks of {task_queue} yet{others}")
        return f"polling {task_queue}"

    async def no_stuck_task(
        self, task_queue: str, identity: str, pids: Callable[[], Collection[int]], patience: float
    ) -> str:
        """Raise StuckTask when a workflow task was taken by this worker and not answered for `patience` seconds.

        A workflow task takes milliseconds; one that stays STARTED means an event loop that does not run. Pollers and
        heartbeats come from the SDK's Rust threads and stay fresh all the while, so they cannot tell.
        """
        service = (await self._connected()).workflow_service
        from temporalio.api.common.v1 import WorkflowExecution
        from temporalio.api.workflowservice.v1 import (
            DescribeWorkflowExecutionRequest,
            GetWorkflowExecutionHistoryReverseRequest,
            ListWorkflowExecutionsRequest,
        )

        running = await service.list_workflow_executions(
            ListWorkflowExecutionsRequest(
                namespace=self.namespace,
                page_size=20,
                query=f"TaskQueue = '{task_queue}' AND ExecutionStatus = 'Running'",
            ),
            timeout=RPC_TIMEOUT,
            retry=False,
        )
        for found in running.executions:
            execution = WorkflowExecution(workflow_id=found.execution.workflow_id, run_id=found.execution.run_id)
            described = await service.describe_workflow_execution(
                DescribeWorkflowExecutionRequest(namespace=self.namespace, execution=execution),
                timeout=RPC_TIMEOUT,
                retry=False,
            )
            task = described.pending_workflow_task
            if task.state != _STARTED or time.time() - task.started_time.seconds < patience:
                continue
            history = await service.get_workflow_execution_history_reverse(
                GetWorkflowExecutionHistoryReverseRequest(
                    namespace=self.namespace, execution=execution, maximum_page_size=1
                ),
                timeout=RPC_TIMEOUT,
                retry=False,
            )
            last = history.history.events[0].workflow_task_started_event_attributes if history.history.events else None
            # After a time-out the started event is not written any more: then nobody can say whose it is.
            if last is not None and last.identity in self._identities(identity, pids):
                raise StuckTask(f"it took a workflow task and does not answer it ({found.execution.workflow_id})")
        return f"polling {task_queue}"

    @staticmethod
    def _identities(identity: str, pids: Callable[[], Collection[int]]) -> set[str]:
        """How a worker of ours may call itself: as we told it, or by the SDK's default, `pid@host`."""
        hosts = {socket.gethostname(), socket.getfqdn()}
        return {identity, *(f"{pid}@{host}" for pid in pids() for host in hosts)}

    async def _connected(self) -> ServiceClient:
        await self.connect()
        if self._client is None:  # pragma: no cover - connect() raises instead
            raise NotYet("not connected")
        return self._client


def ui_rung(url: str) -> Rung:
    """`/` answers before the UI reaches the server; its API does not."""
    probe: Callable[[], Awaitable[str]] = lambda: http_ok(f"{url}/api/v1/cluster-info")  # noqa: E731
    return Rung("UI answers", probe)


def _connect_error(error: RuntimeError, address: str) -> str:
    text = describe(error)
    refused = re.search(r"refused|reset|timed out|unreachable", text, re.IGNORECASE)
    return f"cannot connect to {address}: {refused.group().lower() if refused else text}"
