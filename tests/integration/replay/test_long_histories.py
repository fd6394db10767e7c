"""Histories that are as long as a server allows: the check ends in its time, and says what it did not come to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from mika.project.folder import ProjectDir
from mika.replay.program import Order, run_inside
from mika.replay.verdict import Verdict, judge
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory

from tests.kit.guard import Run
from tests.kit.machine import posix_only
from tests.kit.replay.world import WORKER, spec_of

pytestmark = [posix_only, pytest.mark.timeout(240)]

EVENTS = 50_000
LIMIT = 10.0
QUEUE = "long"
MAIN = f"""
import asyncio
from datetime import timedelta
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker

@workflow.defn
class Marathon:
    @workflow.run
    async def run(self) -> None:
        lap = 0
        while True:
            await workflow.execute_activity("lap", start_to_close_timeout=timedelta(seconds=20))
            lap += 1

async def main():
    await Worker(await Client.connect("127.0.0.1:1"), task_queue="{QUEUE}", workflows=[Marathon]).run()

if __name__ == "__main__":
    asyncio.run(main())
"""


def marathon(events: int) -> Sequence[HistoryEvent]:
    """One that runs an activity again and again, as a server would tell it."""

    def task(scheduled: int) -> Iterator[HistoryEvent]:
        yield event("WORKFLOW_TASK_SCHEDULED", **{"task_queue.name": QUEUE})
        yield event("WORKFLOW_TASK_STARTED", scheduled_event_id=scheduled)
        done = event("WORKFLOW_TASK_COMPLETED", scheduled_event_id=scheduled, started_event_id=scheduled + 1)
        if scheduled == 2:  # what the core of that worker could do: it compares the types of activities
            done.workflow_task_completed_event_attributes.sdk_metadata.core_used_flags.extend((1, 2, 3))
        yield done

    def lap(number: int, after: int) -> Iterator[HistoryEvent]:
        scheduled = after + 1
        named = {"activity_type.name": "lap", "task_queue.name": QUEUE}
        yield event("ACTIVITY_TASK_SCHEDULED", activity_id=str(number), workflow_task_completed_event_id=after, **named)
        yield event("ACTIVITY_TASK_STARTED", scheduled_event_id=scheduled)
        yield event("ACTIVITY_TASK_COMPLETED", scheduled_event_id=scheduled, started_event_id=scheduled + 1)

    started = {"workflow_type.name": "Marathon", "task_queue.name": QUEUE, "original_execution_run_id": "r"}
    found = [event("WORKFLOW_EXECUTION_STARTED", **started), *task(2)]
    number = 0
    while len(found) < events:
        number += 1
        found += lap(number, len(found))
        found += task(len(found) + 1)
    for position, each in enumerate(found, 1):
        each.event_id = position
        each.event_time.FromSeconds(1_700_000_000 + position)
    return found


def event(name: str, **attributes: object) -> HistoryEvent:
    found = HistoryEvent(event_type=EventType.Value(f"EVENT_TYPE_{name}"))
    holder = getattr(found, f"{name.lower()}_event_attributes")
    holder.SetInParent()
    for path, value in attributes.items():
        outer, _, inner = path.partition(".")
        setattr(getattr(holder, outer), inner, value) if inner else setattr(holder, outer, value)
    return found


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A short one and a long one."""
    folder = tmp_path_factory.mktemp("histories")
    paths = []
    for name, number in (("short", 100), ("long", EVENTS)):
        path = folder / f"{name}.json"
        path.write_text(WorkflowHistory(name, marathon(number)).to_json(), encoding="utf-8")
        paths.append(str(path))
    return paths


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path / "run")
    yield run
    run.kill_all()


def check(run: Run, folder: Path, source: str, histories: list[str], timeout: float = LIMIT) -> Verdict:
    folder.mkdir()
    (folder / "main.py").write_text(source, encoding="utf-8")
    spec = spec_of(folder, (WORKER[0], "main.py"), {}, run.run_id)
    order = Order(do="check", histories=tuple(histories), offline=True)
    outcome = asyncio.run(run_inside(spec, ProjectDir(folder), order, timeout=timeout))
    return judge(spec.name, folder, outcome, are_recorded=True)


def test_one_that_takes_too_long_is_named_and_keeps_nobody(run: Run, tmp_path: Path, recorded: list[str]):
    began = time.monotonic()
    verdict = check(run, tmp_path / "same", MAIN, recorded)
    assert time.monotonic() - began < LIMIT + 5
    assert not verdict.refuses
    assert not verdict.misfits
    if verdict.state == "unchecked":  # on all machines of today
        (reason,) = verdict.unchecked
        assert "not checked" in reason.text
        assert reason.fix == "`mika check --timeout 60`"


def test_an_early_step_that_does_not_fit_is_found_in_a_long_one(run: Run, tmp_path: Path, recorded: list[str]):
    """The replay ends there, and so does the search for the point of a reset."""
    edited = MAIN.replace('"lap", start', '"lap" if lap < 3 else "rest", start')
    assert edited != MAIN
    verdict = check(run, tmp_path / "edited", edited, recorded, timeout=120.0)
    assert [reason.text for reason in verdict.unchecked] == []
    assert {misfit.id for misfit in verdict.misfits} == {"short", "long"}
    for misfit in verdict.misfits:
        assert misfit.event is not None
        assert (misfit.event.id, misfit.event.name, str(misfit.asked), misfit.reset_to) == (
            23,
            "lap",
            "activity rest",
            22,
        )
