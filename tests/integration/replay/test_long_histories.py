"""Histories that are as long as a server allows: the check ends in its time, and says what it did not come to."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mika.project.folder import ProjectDir
from mika.replay.program import Order, run_inside
from mika.replay.verdict import Verdict, judge

from tests.kit.guard import Run
from tests.kit.machine import posix_only, takes_long
from tests.kit.replay.world import WORKER, spec_of

pytestmark = [takes_long, posix_only, pytest.mark.timeout(240)]

LIMIT = 4.0
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


def marathon(events: int) -> Iterator[dict[str, object]]:
    """One that runs an activity again and again, as a server would tell it."""
    queue = {"taskQueue": {"name": QUEUE}}
    told: list[tuple[str, dict[str, object]]] = []

    def step(name: str, **scheduled: object) -> None:
        number = len(told) + 1
        told.append((f"{name}_SCHEDULED", {**queue, **scheduled}))
        told.append((f"{name}_STARTED", {"scheduledEventId": number}))
        told.append((f"{name}_COMPLETED", {"scheduledEventId": number, "startedEventId": number + 1}))

    started = {"workflowType": {"name": "Marathon"}, "originalExecutionRunId": "r"}
    told.append(("WORKFLOW_EXECUTION_STARTED", {**queue, **started}))
    step("WORKFLOW_TASK")
    # What the core of that worker could do: it compares the types of activities.
    told[-1][1]["sdkMetadata"] = {"coreUsedFlags": [1, 2, 3]}
    for lap in range(1, events // 6):
        named = {"activityId": str(lap), "activityType": {"name": "lap"}}
        step("ACTIVITY_TASK", **named, workflowTaskCompletedEventId=len(told))
        step("WORKFLOW_TASK")
    for number, (name, attributes) in enumerate(told, 1):
        first, *others = name.lower().split("_")
        holder = "".join((first, *map(str.title, others), "EventAttributes"))
        time = f"2023-11-14T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"
        yield {"eventId": str(number), "eventTime": time, "eventType": f"EVENT_TYPE_{name}", holder: attributes}


@pytest.fixture
def histories(tmp_path: Path) -> Callable[[int], list[str]]:
    """Makes a short one, and a long one with so many events."""

    def make(events: int) -> list[str]:
        paths = []
        for name, number in (("short", 100), ("long", events)):
            path = tmp_path / f"{name}.json"
            path.write_text(json.dumps({"events": list(marathon(number))}), encoding="utf-8")
            paths.append(str(path))
        return paths

    return make


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


def test_one_that_takes_too_long_is_named_and_keeps_nobody(run: Run, tmp_path: Path, histories):
    recorded = histories(50_000)  # a server ends one with 51,200
    began = time.monotonic()
    verdict = check(run, tmp_path / "same", MAIN, recorded)
    assert time.monotonic() - began < LIMIT + 5
    assert not verdict.refuses
    assert not verdict.misfits
    if verdict.state == "unchecked":  # on all machines of today
        (reason,) = verdict.unchecked
        assert "not checked" in reason.text
        assert reason.fix == "`mika check --timeout 60`"


def test_an_early_step_that_does_not_fit_is_found_in_a_long_one(run: Run, tmp_path: Path, histories):
    """The replay ends there, and so does the search for the point of a reset."""
    edited = MAIN.replace('"lap", start', '"lap" if lap < 3 else "rest", start')
    assert edited != MAIN
    verdict = check(run, tmp_path / "edited", edited, histories(10_000), timeout=120.0)
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
