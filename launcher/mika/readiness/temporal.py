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
from typing import TYPE_CHECKING

from mika.address import join
from mika.diagnosis import proto
from mika.diagnosis.proto import TaskType
from mika.diagnosis.temporal import Temporal, literal
from mika.errors import describe
from mika.readiness.ladder import NotYet, Rung
from mika.readiness.probes import http_ok, tcp

if TYPE_CHECKING:
    from temporalio.service import ServiceClient

_MOST_RUNNING = 20
_importing = threading.Lock()


def preload() -> None:
    """Import the SDK now, in whatever thread this is: the server needs that long to start anyway.

    One thread at a time: its modules import each other in a circle, and a second thread would see half of one.
    """
    with _importing:
        import temporalio.service  # noqa: F401


async def open_client(address: str, identity: str) -> ServiceClient:
    """Connect. Raises RuntimeError (not RPCError) when no Temporal server answers there."""
    await asyncio.to_thread(preload)
    from temporalio.service import ConnectConfig, ServiceClient

    return await ServiceClient.connect(ConnectConfig(target_host=address, identity=identity))


class StuckTask(NotYet):
    """The server waits for this worker's answer, and has waited too long."""


class TemporalProbe:
    """Asks one server and namespace. Connects when first asked and again after a failure; every call has a deadline."""

    def __init__(self, host: str, port: int, namespace: str) -> None:
        self.host, self.port, self.namespace = host, port, namespace
        self.address = join(host, port)
        self._connection: Temporal | None = None

    def rungs(self, task_queue: str) -> list[Rung]:
        """The ladder from an open port to a server on which a workflow can be started now."""
        return [
            Rung("port open", lambda: tcp(self.host, self.port)),
            Rung("connected", self.connect),
            Rung("serving", self.serving),
            Rung(f"namespace {self.namespace}", self.namespace_exists),
            Rung("usable", lambda: self.usable(task_queue)),
        ]

    async def connect(self) -> str:
        await self._temporal()
        return self.address

    async def serving(self) -> str:
        temporal = await self._temporal()
        if not await temporal.is_serving():
            raise NotYet("the server answers NOT_SERVING")
        return "SERVING"

    async def namespace_exists(self) -> str:
        await (await self._temporal()).describe_namespace()
        return f"namespace {self.namespace}"

    async def usable(self, task_queue: str) -> str:
        """Visibility, the namespace registry and matching answer, twice in a row."""
        temporal = await self._temporal()
        for _ in range(2):
            await temporal.count_workflows()
            await temporal.queue_state(task_queue, TaskType.WORKFLOW)
        return f"SERVING, namespace {self.namespace}"

    async def alive(self) -> str:
        """One cheap call that needs the database: a server whose PostgreSQL is gone still says SERVING."""
        await (await self._temporal()).count_workflows()
        return f"SERVING, namespace {self.namespace}"

    async def worker_polls(self, task_queue: str, identity: str, pids: Callable[[], Collection[int]]) -> str:
        """The worker with `identity`, or with the SDK's default `pid@host` for one of `pids()`, polls both types.

        Its own identity counts: entries in the server's list outlive a killed worker by minutes.
        """
        temporal = await self._temporal()
        own = self._identities(identity, pids)
        for task_type in TaskType:
            polling = {poller.identity for poller in (await temporal.queue_state(task_queue, task_type)).pollers}
            if not own & polling:
                others = f" (others do: {', '.join(sorted(polling)[:3])})" if polling else ""
                raise NotYet(f"it does not poll {task_type.name.lower()} tasks of {task_queue} yet{others}")
        return f"polling {task_queue}"

    async def no_stuck_task(
        self, task_queue: str, identity: str, pids: Callable[[], Collection[int]], patience: float
    ) -> str:
        """Raise StuckTask when a workflow task was taken by this worker and not answered for `patience` seconds.

        A workflow task takes milliseconds; one that stays STARTED means an event loop that does not run. Pollers and
        heartbeats come from the SDK's Rust threads and stay fresh all the while, so they cannot tell.
        """
        temporal = await self._temporal()
        query = f"TaskQueue = {literal(task_queue)} AND ExecutionStatus = 'Running'"
        for info in await temporal.workflows(query, _MOST_RUNNING):
            workflow_id = info.execution.workflow_id
            task = (await temporal.describe(workflow_id, info.execution.run_id)).pending_workflow_task
            if task.state != proto.STARTED or time.time() - proto.at(task.started_time) < patience:
                continue
            last = (await temporal.newest_events(info.execution, 1))[-1:]
            # After a time-out the started event is no longer written: then nobody can say whose it is.
            taker = last[0].workflow_task_started_event_attributes.identity if last else ""
            if taker and taker in self._identities(identity, pids):
                raise StuckTask(f"it took a workflow task and does not answer it ({workflow_id})")
        return f"polling {task_queue}"

    @staticmethod
    def _identities(identity: str, pids: Callable[[], Collection[int]]) -> set[str]:
        """How a worker of ours may call itself: as we told it, or by the SDK's default, `pid@host`."""
        hosts = {socket.gethostname(), socket.getfqdn()}
        return {identity, *(f"{pid}@{host}" for pid in pids() for host in hosts)}

    async def _temporal(self) -> Temporal:
        """Raises NotYet while there is no connection."""
        if self._connection is None:
            try:
                client = await open_client(self.address, "mika")
            except RuntimeError as error:  # its Rust debug text is not worth showing
                raise NotYet(_connect_error(error, self.address)) from error
            self._connection = Temporal(client, self.namespace)
        return self._connection


def ui_rung(url: str) -> Rung:
    """`/` answers before the UI reaches the server; its API does not."""
    probe: Callable[[], Awaitable[str]] = lambda: http_ok(f"{url}/api/v1/cluster-info")  # noqa: E731
    return Rung("UI answers", probe)


def _connect_error(error: RuntimeError, address: str) -> str:
    text = describe(error)
    reason = re.search(r"refused|reset|timed out|unreachable", text, re.IGNORECASE)
    return f"cannot connect to {address}: {reason.group().lower() if reason else text}"
