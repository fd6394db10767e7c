"""A worker that has a workflow task and does not answer: it hangs, or a local activity runs in it."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from mika.diagnosis.model import Surroundings
from mika.diagnosis.steps import steps
from mika.doctor.workflows import judge as judging
from mika.doctor.workflows.judge import judge
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

from tests.kit.temporal_protos import START, STARTED, TAKEN, TASK, around, events, task, worker


class Exam:
    def __init__(self, *, debug: bool = False) -> None:
        self._unit = SimpleNamespace(debug=debug)

    async def processes(self) -> tuple[object, ...]:
        return ()

    async def units_named(self, *_: str) -> tuple[object, ...]:
        return (self._unit,)

    async def status(self) -> None:
        return None

    async def once(self, _name: str, _find: object) -> bool:
        return False  # it does not use the CPU


@pytest.mark.parametrize(
    ("found", "surroundings", "pid", "now", "cause", "words"),
    [
        (task(2), around(worker()), 12, 5, "running", "a local activity runs in it, or its event loop is blocked"),
        (task(2), around(worker()), None, 5, "running", "its event loop is blocked, or it was killed"),
        (task(2), around(worker()), 12, 31, "worker_unresponsive", "does not answer"),
        (task(2, attempt=2), around(worker()), 12, 5, "worker_unresponsive", "does not answer"),
        (task(2), around(worker(state="hung")), 12, 5, "worker_unresponsive", "does not answer"),
        (task(2), around(worker(state="stopped")), 12, 5, "worker_unresponsive", "does not answer"),
    ],
)
def test_a_task_that_is_not_answered(
    monkeypatch: pytest.MonkeyPatch,
    found: DescribeWorkflowExecutionResponse,
    surroundings: Surroundings,
    pid: int | None,
    now: float,
    cause: str,
    words: str,
) -> None:
    monkeypatch.setattr(judging, "pid_of_worker", lambda *_: pid)
    exam: Any = Exam()
    held: Any = Exam(debug=True)
    judged = asyncio.run(judge(exam, found, events(STARTED, TASK, TAKEN), surroundings, now=START + now))
    assert (judged.cause, bool(judged.fix)) == (cause, cause != "running")
    assert words in judged.finding
    debugged = asyncio.run(judge(held, found, events(STARTED, TASK, TAKEN), surroundings, now=START + now))
    assert debugged.cause == "worker_unresponsive", "it is known what keeps it"


@pytest.mark.parametrize(
    ("told", "took"),
    [
        ({"original_schedule_time": {"seconds": 5, "nanos": 500_000_000}, "complete_time": {"seconds": 9}}, 3.5),
        ({"original_schedule_time": {"seconds": 9}, "complete_time": {"seconds": 5}}, 0.0),  # its clock was set back
        ({"original_schedule_time": None, "complete_time": "soon"}, 0.0),
        ({}, 0.0),
    ],
)
def test_how_long_a_local_activity_took(told: dict[str, object], took: float) -> None:
    history = events(STARTED, TASK, TAKEN, ("MARKER_RECORDED", 15, {"marker_name": "core_local_activity"}))
    payload = history[-1].marker_recorded_event_attributes.details["data"].payloads.add()
    payload.metadata["encoding"], payload.data = b"json/plain", json.dumps({"activity_type": "save", **told}).encode()
    (step,) = steps(history).values()
    assert (step.name, step.took) == ("save", pytest.approx(took))
