"""A Temporal server with open runs for many edits, and for each edit two answers: the check's, and a real worker's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mika.project.folder import ProjectDir
from mika.replay.lines import Misfit
from mika.replay.program import Order, run_inside
from mika.replay.verdict import Verdict, judge
from mika.supervisor.guard import ServiceSpec
from temporalio.client import Client

from tests.kit.bot_processes import TemporalServer
from tests.kit.machine import DEADLINE
from tests.kit.project import FOREIGN
from tests.kit.replay import truth
from tests.kit.replay.edits import BED, EDITS, Edit
from tests.kit.replay.opened import KINDS, events_of, forget_worker, open_runs, workflow_id
from tests.kit.runs import Running

WORKER = (sys.executable, "-m", "bed.main")
_PATIENCE = 60.0  # s for a check; the limit of the product is shorter, but this machine may be busy with other tests


def spec_of(folder: Path, command: Sequence[str] | str, env: dict[str, str], run_id: str) -> ServiceSpec:
    """A worker's process as mika would start it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    words = ("/bin/sh", "-c", command) if isinstance(command, str) else tuple(command)
    return ServiceSpec(
        name="worker",
        command=words,
        cwd=folder,
        env={**clean, "MIKA_RUN_ID": run_id, "MIKA_PROCESS": "worker", **env},
        log_dir=folder / "logs",
    )


async def check(spec: ServiceSpec, queues: Sequence[str], timeout: float = _PATIENCE) -> Verdict:
    """What the check says of `spec`, whose folder is the project's."""
    order = Order(do="check", locate_each=True)
    outcome = await run_inside(spec, ProjectDir(spec.cwd), order, queues=queues, timeout=timeout)
    return judge(spec.name, spec.cwd, outcome, queues)


@dataclass
class Answers:
    """What became of the same runs, by their type."""

    verdict: Verdict
    truth: dict[str, str]
    """Why the workflow task of a real worker failed; empty for one that was completed."""
    went_on: dict[str, bool] = field(default_factory=dict)
    """After a reset to the point that the check names."""
    went_on_later: dict[str, bool] = field(default_factory=dict)
    """After a reset to the workflow task after that."""

    @property
    def misfits(self) -> dict[str, Misfit]:
        return {misfit.id.rpartition("-")[2]: misfit for misfit in self.verdict.misfits}

    @property
    def checked(self) -> set[str]:
        """The types that do not go on, as the check says."""
        return {*self.misfits, *self.verdict.gone}

    @property
    def failed(self) -> set[str]:
        """The types that do not go on, as the real worker says."""
        return {kind for kind, why in self.truth.items() if why}


class World:
    """`types_of` says which types are opened for each edit; each edit has a queue of its own."""

    def __init__(self, server: TemporalServer, folder: Path, opened: dict[str, tuple[str, ...]]) -> None:
        self.server, self.folder, self._opened = server, folder, opened
        self._runner = asyncio.Runner()
        self._client: Client | None = None
        self.run_id = uuid.uuid4().hex

    @contextlib.contextmanager
    def running(self) -> Iterator[World]:
        """Open all runs with the code before any edit."""
        with self._runner:
            self._runner.run(self._open())
            yield self

    def answers(self, edit: Edit) -> Answers:
        return self._runner.run(self._answers(edit))

    def ends(self, edit: Edit) -> Verdict:
        """The check's answer for a program that does not start."""
        folder = self._edited(edit)
        env = {"ADDRESS": self.address, "QUEUES": "nothing-open"}
        return self._runner.run(check(spec_of(folder, WORKER, env, self.run_id), ("nothing-open",)))

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    @property
    def client(self) -> Client:
        assert self._client is not None
        return self._client

    async def _open(self) -> None:
        self._client = await connected(self.address)
        with self._worker(BED.parent, list(self._opened), "the code before"):
            wanted = [(queue, kind) for queue, kinds in self._opened.items() for kind in kinds]
            await open_runs(self.client, wanted)
        await forget_worker(self.client, (workflow_id(queue, kind) for queue, kind in wanted))

    async def _answers(self, edit: Edit) -> Answers:
        queue = queue_of(edit)
        folder, kinds = self._edited(edit), self._opened[queue]
        runs = {kind: self.client.get_workflow_handle(workflow_id(queue, kind)) for kind in kinds}
        env = {"ADDRESS": self.address, "QUEUES": queue}
        # The worker has nothing to do before a signal comes, so it starts while the check is made.
        with self._worker(folder, [queue], "the code after") as worker:
            verdict = await check(spec_of(folder, WORKER, env, self.run_id), (queue,))
            histories = {kind: await events_of(run) for kind, run in runs.items()}
            found = await truth.ask(runs, histories, worker)
            answers = Answers(verdict, found)
            for kind, misfit in answers.misfits.items():
                if misfit.reset_to is None or kind not in answers.failed:
                    continue
                later = truth.next_task(histories[kind], misfit.reset_to)
                if later is not None:
                    answers.went_on_later[kind] = await truth.goes_on_after(self.client, misfit, later)
                answers.went_on[kind] = await truth.goes_on_after(self.client, misfit, misfit.reset_to)
        return answers

    def _edited(self, edit: Edit) -> Path:
        folder = self.folder / queue_of(edit)
        folder.mkdir()
        edit.apply(folder)
        return folder

    @contextlib.contextmanager
    def _worker(self, folder: Path, queues: Sequence[str], identity: str) -> Iterator[Running]:
        command, env = list(WORKER), {"ADDRESS": self.address, "QUEUES": ",".join(queues), "IDENTITY": identity}
        worker = self.server.run("worker", command, PYTHONPATH=folder, PYTHONUNBUFFERED=1, **env)
        try:
            yield worker
        finally:
            worker.kill()


def queue_of(edit: Edit) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in edit.name)


def all_types(edits: Sequence[Edit]) -> dict[str, tuple[str, ...]]:
    """Each edit against each type."""
    return {queue_of(edit): tuple(KINDS) for edit in edits if not edit.ends}


def some_types(edits: Sequence[Edit], others: int = 2) -> dict[str, tuple[str, ...]]:
    """Each edit against the types that it concerns, and `others` that it does not."""
    opened = {}
    for edit in edits:
        if edit.ends:
            continue
        start = EDITS.index(edit) * others
        rest = [kind for kind in KINDS if kind not in edit.types]
        rest = [rest[(start + number) % len(rest)] for number in range(others)]
        opened[queue_of(edit)] = (*sorted(edit.types), *rest)
    return opened


async def connected(address: str) -> Client:
    """As soon as the server answers whole calls: its port is open before."""
    async with asyncio.timeout(DEADLINE):
        while True:
            with contextlib.suppress(Exception):
                client = await Client.connect(address, identity="the test")
                await client.count_workflows()
                return client
            await asyncio.sleep(0.1)
