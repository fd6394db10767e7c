"""A Temporal server with open runs for many edits, and for each edit two answers: the check's, and a real worker's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from mika.project.folder import ProjectDir
from mika.replay.lines import Misfit
from mika.replay.program import Order, Outcome, run_inside
from mika.replay.verdict import Verdict, judge
from mika.supervisor.guard import ServiceSpec
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.kit.bot_processes import TemporalServer
from tests.kit.machine import DEADLINE
from tests.kit.project import FOREIGN
from tests.kit.replay import truth
from tests.kit.replay.bed import flows, steps
from tests.kit.replay.edits import EDITS, Edit
from tests.kit.replay.opened import KINDS, events_of, forget_worker, open_runs, workflow_id
from tests.kit.runs import Running

WORKER = (sys.executable, "-m", "bed.main")
_OF_A_PROGRAM = 32
"""Edits that are judged in one program."""
_PATIENCE = 120.0  # s for a check; the limit of the product is shorter, but this machine may be busy with other tests


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
    return judge(spec.name, spec.cwd, await _reported(spec, queues, timeout), queues)


async def _reported(spec: ServiceSpec, queues: Sequence[str], timeout: float) -> Outcome:
    order = Order(do="check", locate_each=True)
    return await run_inside(spec, ProjectDir(spec.cwd), order, queues=queues, timeout=timeout)


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


@dataclass
class _Program:
    """A program with a worker for each of some edits."""

    checked: Outcome
    """What a check has reported."""
    worker: Running
    """The same program, live."""


class World:
    """Judges `edits`, in their order, against open runs of the types that `types_of` says; each has its own queue."""

    def __init__(
        self, server: TemporalServer, folder: Path, edits: Sequence[Edit], types_of: Callable[[Edit], Sequence[str]]
    ) -> None:
        self.server, self.folder, self._types_of = server, folder, types_of
        self._groups = _groups(edits)
        self._programs: dict[str, _Program] = {}
        self._runner = asyncio.Runner()
        self._client: Client | None = None
        self.run_id = uuid.uuid4().hex

    def __enter__(self) -> Self:
        self._runner.__enter__()
        self._client = self._runner.run(connected(f"127.0.0.1:{self.server.port}"))
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.close()

    def answers(self, edit: Edit) -> Answers:
        if edit.package not in self._programs:
            if not edit.is_alone:  # all edits of the program before have been judged, and it would poll to the end
                for earlier in self._programs.values():
                    earlier.worker.kill()
            group = next(group for group in self._groups if edit in group)
            self._programs |= dict.fromkeys((each.package for each in group), self._runner.run(self._started(group)))
        program = self._programs[edit.package]
        answers = self._runner.run(self._answers(edit, program))
        if edit.is_alone:
            program.worker.kill()
        return answers

    def ends(self, edit: Edit) -> Verdict:
        """The check's answer for a program that does not start."""
        folder = self.folder / edit.package
        edit.apply(folder)
        env = {"ADDRESS": f"127.0.0.1:{self.server.port}", "QUEUES": "nothing-open"}
        return self._runner.run(check(spec_of(folder, WORKER, env, self.run_id), ("nothing-open",)))

    @property
    def client(self) -> Client:
        assert self._client is not None
        return self._client

    async def _started(self, group: Sequence[Edit]) -> _Program:
        """Open the runs with the code before, and check the code after; it is live then, but nothing has woken it."""
        names, folder = [edit.package for edit in group], self.folder / f"with-{group[0].package}"
        for edit in group:
            edit.apply(folder, edit.package)
            _keep_only(folder / edit.package / "flows.py", self._types_of(edit))
        await self._open(group)
        command = (sys.executable, "-m", f"{names[0]}.main")
        env = {"ADDRESS": f"127.0.0.1:{self.server.port}", "QUEUES": ",".join(names), "PACKAGES": ",".join(names)}
        worker = self.server.run(
            "worker", list(command), PYTHONPATH=folder, PYTHONUNBUFFERED=1, IDENTITY="the code after", **env
        )
        checked = await _reported(spec_of(folder, command, env, self.run_id), names, _PATIENCE)
        return _Program(checked, worker)

    async def _open(self, group: Sequence[Edit]) -> None:
        wanted = [(edit.package, kind) for edit in group for kind in self._types_of(edit)]
        async with contextlib.AsyncExitStack() as stack:
            for edit in group:
                worker = Worker(
                    self.client,
                    task_queue=edit.package,
                    workflows=flows.ALL,
                    activities=steps.ALL,
                    workflow_runner=UnsandboxedWorkflowRunner(),  # the same steps, for less
                    build_id="bed",
                    max_concurrent_workflow_task_polls=2,
                    max_concurrent_activity_task_polls=1,
                )
                await stack.enter_async_context(worker)
            await open_runs(self.client, wanted)
        await forget_worker(self.client, (workflow_id(queue, kind) for queue, kind in wanted))

    async def _answers(self, edit: Edit, program: _Program) -> Answers:
        queue = edit.package
        runs = {kind: self.client.get_workflow_handle(workflow_id(queue, kind)) for kind in self._types_of(edit)}
        verdict = judge("worker", self.folder, _of_queue(program.checked, queue), (queue,))
        histories = {kind: await events_of(run) for kind, run in runs.items()}
        found = await truth.ask(runs, histories, program.worker)
        answers = Answers(verdict, found)
        for kind, misfit in answers.misfits.items():
            if misfit.reset_to is None or kind not in answers.failed:
                continue
            later = truth.next_task(histories[kind], misfit.reset_to)
            if later is not None:
                answers.went_on_later[kind] = await truth.goes_on_after(self.client, misfit, later)
            answers.went_on[kind] = await truth.goes_on_after(self.client, misfit, misfit.reset_to)
        return answers


def _groups(edits: Sequence[Edit]) -> list[tuple[Edit, ...]]:
    """Those that are in one program: a process for each edit would spend most of its time on imports."""
    together = [edit for edit in edits if not edit.ends and not edit.is_alone]
    groups = [tuple(together[first : first + _OF_A_PROGRAM]) for first in range(0, len(together), _OF_A_PROGRAM)]
    return groups + [(edit,) for edit in edits if edit.is_alone]


def _keep_only(flows_file: Path, kinds: Sequence[str]) -> None:
    """Register only these types: a worker loads the file in the sandbox for each."""
    others = {"Consignment": "Slip", "Unheard": "Anything"}  # its child, and what runs as this
    kept = [*kinds, *(others[kind] for kind in kinds if kind in others)]
    with flows_file.open("a", encoding="utf-8") as file:
        file.write(f"ALL = [each for each in ALL if each.__name__ in {kept}]\n")


def _of_queue(outcome: Outcome, queue: str) -> Outcome:
    """What was reported of this queue."""
    report = outcome.report
    workers = [worker for worker in report.workers if worker.queue == queue]
    keys = [worker.key for worker in workers]
    part = replace(
        report,
        workers=workers,
        results=[result for result in report.results if result.key in keys],
        misfits=[misfit for misfit in report.misfits if misfit.id.startswith(f"{queue}-")],
        unread=[each for each in report.unread if each[0].startswith(f"{queue}-")],
        broken={key: why for key, why in report.broken.items() if key in keys},
    )
    return replace(outcome, report=part)


def all_types(edit: Edit) -> tuple[str, ...]:
    return tuple(KINDS)


def some_types(edit: Edit) -> tuple[str, ...]:
    """Those that an edit concerns; each third of those that break one has another, too: each type in its turn."""
    breaking = [each for each in EDITS if each.breaks and not each.is_alone]
    number, remainder = divmod(breaking.index(edit), 3) if edit in breaking else (0, 1)
    has_other = remainder == 0 or edit.gone  # a worker without any type would not poll
    rest = [kind for kind in KINDS if kind not in edit.types]
    return (*sorted(edit.types), *([rest[number % len(rest)]] if has_other else ()))


async def connected(address: str) -> Client:
    """As soon as the server answers whole calls: its port is open before."""
    async with asyncio.timeout(DEADLINE):
        while True:
            with contextlib.suppress(Exception):
                client = await Client.connect(address, identity="the test")
                await client.count_workflows()
                return client
            await asyncio.sleep(0.1)
