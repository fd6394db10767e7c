"""From a save to the new worker polling: `mika up --watch` beside `watchfiles` and the worker's own cold start.

    python -m benchmarks.watch
    python -m benchmarks.watch --bot                # this repository's worker, in place of one of a page

All workers are on one server, each on a queue of its own, and nothing is open. A worker polls when the server says so.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mika.diagnosis.temporal import Temporal
from temporalio.client import Client

from benchmarks import common
from benchmarks.common import Failed, Place

STEP = 0.01
"""Seconds between two questions to the server."""
TIMEOUT = 60.0
WAYS = ("cold start", "watchfiles", "mika up --watch, no check", "mika up --watch")
FOLDERS = dict(zip(WAYS, ("cold", "watched", "unchecked", "checked"), strict=True))
WORKER = """
import asyncio, os
from temporalio.client import Client
from temporalio.worker import Worker
from flows import Order, charge

async def main():
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"])
    queue = os.environ["TEMPORAL_TASK_QUEUE"]
    await Worker(client, task_queue=queue, workflows=[Order], activities=[charge]).run()

asyncio.run(main())
"""
FLOWS = """
from datetime import timedelta
from temporalio import activity, workflow

@activity.defn
async def charge() -> str:
    return "charged"

@workflow.defn
class Order:
    @workflow.run
    async def run(self) -> str:
        return await workflow.execute_activity(charge, start_to_close_timeout=timedelta(seconds=10))
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """A worker: its command, the file that is saved, and how to make its folder."""

    command: str
    saved: str
    make: Callable[[Path], object]


def make_plain(folder: Path) -> None:
    folder.mkdir()
    (folder / "worker.py").write_text(WORKER, encoding="utf-8")
    (folder / "flows.py").write_text(FLOWS, encoding="utf-8")


PLAIN = Kind("python worker.py", "flows.py", make_plain)
BOT = Kind(
    "python -m src.workers.temporal_worker",
    "src/workflows/message_workflow.py",
    lambda folder: shutil.copytree(common.ROOT / "src", folder / "src"),
)


class Measured:
    """One server with the four workers."""

    def __init__(self, place: Place, kind: Kind, client: Client) -> None:
        self._place, self._kind, self._client = place, kind, client
        self._server = Temporal(client.service_client, client.namespace)

    async def cold_start(self) -> float:
        old, began = await self._pollers("cold start"), time.monotonic()
        process = by_hand(self._place, self._kind.command.split(), FOLDERS["cold start"])
        try:
            return await self._new_poller("cold start", old, began)
        finally:
            process.terminate()
            process.wait(30)

    async def save(self, way: str) -> float:
        """Seconds from the save to a worker that was not there before."""
        file = self._place.folder / FOLDERS[way] / self._kind.saved
        old = await self._pollers(way)
        text = file.read_text(encoding="utf-8") + f"# {time.time_ns()}\n"
        began = time.monotonic()
        file.write_text(text, encoding="utf-8")
        return await self._new_poller(way, old, began)

    async def ready(self, way: str) -> None:
        await self._new_poller(way, frozenset(), time.monotonic())

    async def _new_poller(self, way: str, old: frozenset[str], began: float) -> float:
        while not await self._pollers(way) - old:
            if time.monotonic() - began > TIMEOUT:
                raise Failed(f"{way}: no new worker within {TIMEOUT:.0f} s")
            await asyncio.sleep(STEP)
        return time.monotonic() - began

    async def _pollers(self, way: str) -> frozenset[str]:
        from temporalio.api.enums.v1 import TaskQueueType
        from temporalio.api.taskqueue.v1 import TaskQueue
        from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

        request = DescribeTaskQueueRequest(
            namespace=self._client.namespace,
            task_queue=TaskQueue(name=FOLDERS[way]),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
        answer = await self._client.workflow_service.describe_task_queue(request)
        return frozenset(poller.identity for poller in answer.pollers)


def by_hand(place: Place, argv: list[str], folder: str) -> subprocess.Popen[bytes]:
    return place.run(argv, cwd=place.folder / folder, env=place.env | {"TEMPORAL_TASK_QUEUE": folder})


@contextlib.contextmanager
def stack(kind: Kind) -> Iterator[Place]:
    """The server and the two workers of mika, and the one of watchfiles."""
    temporal, ui, api = map(str, common.free_ports(3))
    env = {"TEMPORAL_PORT": temporal, "TEMPORAL_UI_PORT": ui, "API_PORT": api, "MIKA_BACKEND": "embedded"}
    env |= {"TEMPORAL_ADDRESS": f"127.0.0.1:{temporal}"}
    env |= {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    with common.place(env) as place:
        for folder in FOLDERS.values():
            kind.make(place.folder / folder)
        tables, procfile = "", ""
        for folder in ("unchecked", "checked"):
            procfile += f"{folder}: {kind.command}\n"
            tables += f'[process.{folder}]\ncwd = "{folder}"\nready = "worker:{folder}"\n'
            tables += f'env = {{ TEMPORAL_TASK_QUEUE = "{folder}" }}\ncheck = {str(folder == "checked").lower()}\n'
        (place.folder / "Procfile").write_text(procfile, encoding="utf-8")
        (place.folder / "mika.toml").write_text(tables, encoding="utf-8")
        up = place.run([*common.mika(), "up", "-d", "--watch"])
        if up.wait(120):
            raise Failed("`mika up` failed")
        by_hand(place, ["watchfiles", "--filter", "python", kind.command, "."], "watched")
        try:
            yield place
        finally:
            place.run([*common.mika(), "down"]).wait(60)


async def measure(kind: Kind, runs: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {way: [] for way in WAYS}
    with stack(kind) as place:
        measured = Measured(place, kind, await Client.connect(place.env["TEMPORAL_ADDRESS"]))
        await measured.ready("watchfiles")
        await measured.cold_start()  # not counted: byte code, page cache
        for number in range(runs):
            # Each takes each place in turn, so that what drifts (clock speed, other load) hits all alike.
            for way in WAYS[number % len(WAYS) :] + WAYS[: number % len(WAYS)]:
                await asyncio.sleep(1.0)  # what a tool does after a start is over
                seconds = await (measured.cold_start() if way == WAYS[0] else measured.save(way))
                taken[way].append(seconds)
                common.say(f"run {number + 1}/{runs}  {way:<26} {seconds:.2f} s")
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--bot", action="store_true", help="this repository's worker")
    options = parser.parse_args()
    print(common.machine())
    taken = asyncio.run(measure(BOT if options.bot else PLAIN, options.runs))
    floor = taken[WAYS[0]]
    rows = []
    for way, values in taken.items():
        ratio = statistics.median(value / least for value, least in zip(values, floor, strict=True))
        rows.append([way, *common.spread(values), f"{ratio:.2f}"])
    name = "the bot's worker" if options.bot else "a worker of a page"
    headers = ["from the save to the new worker polling, s", "median", "min", "max", "median of ratios"]
    common.table(f"{name}, {options.runs} runs", headers, rows)


if __name__ == "__main__":
    main()
