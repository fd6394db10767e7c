"""A live worker with open runs, and what its server sees of everybody."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest
from mika.replay.verdict import Verdict
from mika.supervisor.guard import ServiceSpec
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, ListNamespacesRequest
from temporalio.client import Client

from tests.kit.bot_processes import TemporalServer
from tests.kit.guard import Run
from tests.kit.machine import DEADLINE
from tests.kit.replay.edits import BED
from tests.kit.replay.opened import events_of, open_runs
from tests.kit.replay.world import WORKER, check, connected, spec_of
from tests.kit.runs import Running

QUEUE = "live"
IDENTITY = "the live worker"
TYPES = ("Parcel", "Deferred", "Convoy")


@dataclass(frozen=True)
class Seen:
    """What a check may not change."""

    pollers: frozenset[str]
    runs: tuple[tuple[str, str, str, int], ...]
    """Each run: its id, run id and status, and how many events it has."""
    identities: frozenset[str]
    """Of all who took a task of an open run."""
    schedules: tuple[str, ...]
    namespaces: tuple[str, ...]


@contextlib.contextmanager
def live_worker(factory: pytest.TempPathFactory, types: Sequence[str] = ()) -> Iterator[Live]:
    """One with a server of its own."""
    with (
        TemporalServer(factory.mktemp("server"), in_memory=True) as server,
        Live(server, factory.mktemp("live"), types) as live,
    ):
        yield live


class Live:
    """A server with the worker of QUEUE; what is checked here carries a mark, so that what is left of it is found.

    The worker, and what is checked, have only these `types`, if they are given: each costs a check 20 ms.
    """

    def __init__(self, server: TemporalServer, folder: Path, types: Sequence[str] = ()) -> None:
        self.server, self.folder = server, folder
        self.env = {"ADDRESS": self.address, "QUEUES": QUEUE, "TYPES": ",".join(types)}
        self.run = Run(folder)
        self._runner = asyncio.Runner()
        self.worker: Running | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def __enter__(self) -> Self:
        self._runner.__enter__()
        env = {**self.env, "IDENTITY": IDENTITY, "UNBOXED": "1"}  # the same steps, for less
        self.worker = self.server.run("worker", list(WORKER), PYTHONPATH=BED.parent, PYTHONUNBUFFERED=1, **env)
        self._client = self._runner.run(connected(self.address))
        self.open_runs(TYPES)
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.close()
        self.run.kill_all()

    def open_runs(self, types: Sequence[str], copies: int = 1) -> None:
        self._runner.run(open_runs(self._client, [(QUEUE, kind) for kind in types], copies))

    def end_runs(self) -> None:
        """Terminate all that are open."""
        self._runner.run(_end_all(self._client))

    def cpu_of_check(self, folder: Path) -> tuple[Verdict, float]:
        """What the check says of the worker in `folder`, and the seconds of CPU that its processes took."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)  # the live worker is not counted before it has ended
        verdict = self.check(self.spec(folder))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return verdict, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def check(self, spec: ServiceSpec, queues: Sequence[str] = (QUEUE,), timeout: float = 60.0) -> Verdict:
        return self._runner.run(check(spec, queues, timeout))

    def spec(self, folder: Path, command: str | Sequence[str] = WORKER, **env: str) -> ServiceSpec:
        return spec_of(folder, command, {**self.env, **env}, self.run.run_id)

    def seen(self) -> Seen:
        return self._runner.run(self._seen())

    async def _seen(self) -> Seen:
        client, runs, identities = self._client, [], set()
        async for run in client.list_workflows():
            events = await events_of(client.get_workflow_handle(run.id, run_id=run.run_id))
            runs.append((run.id, run.run_id, str(run.status), len(events)))
            for event in events:
                if event.HasField("workflow_task_started_event_attributes"):
                    identities.add(event.workflow_task_started_event_attributes.identity)
                if event.HasField("activity_task_started_event_attributes"):
                    identities.add(event.activity_task_started_event_attributes.identity)
        namespaces = await client.workflow_service.list_namespaces(ListNamespacesRequest())
        return Seen(
            await _pollers(client),
            tuple(sorted(runs)),
            frozenset(identities),
            tuple([schedule.id async for schedule in await client.list_schedules()]),
            tuple(sorted(each.namespace_info.name for each in namespaces.namespaces)),
        )


async def _end_all(client: Client) -> None:
    async for run in client.list_workflows(f'TaskQueue="{QUEUE}" AND ExecutionStatus="Running"'):
        await client.get_workflow_handle(run.id, run_id=run.run_id).terminate()
    async with asyncio.timeout(DEADLINE):
        while (await client.count_workflows(f'TaskQueue="{QUEUE}" AND ExecutionStatus="Running"')).count:
            await asyncio.sleep(0.05)


async def _pollers(client: Client) -> frozenset[str]:
    """The server forgets one after 5 minutes."""
    found = set()
    for kind in (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY):
        request = DescribeTaskQueueRequest(
            namespace=client.namespace, task_queue=TaskQueue(name=QUEUE), task_queue_type=kind
        )
        found |= {poller.identity for poller in (await client.workflow_service.describe_task_queue(request)).pollers}
    return frozenset(found)


@contextlib.contextmanager
def taken(folder: Path) -> Iterator[tuple[int, Path]]:
    """A TCP port and a socket file where somebody listens."""
    path = folder / "taken.sock"
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        unix.bind(str(path))
        unix.listen()
        yield tcp.getsockname()[1], path
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(path))  # the file still leads to the one who made it
