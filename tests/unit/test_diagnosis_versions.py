"""Versions of a worker deployment: which worker gets a task, and what is said of one that none gets."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from mika.diagnosis.model import Cause, Poller, Surroundings, Version
from mika.diagnosis.survey import Queue
from mika.diagnosis.versions import is_current, pinned_to, version_of
from mika.diagnosis.workflow import classify
from mika.doctor.checks import worker as checks
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueueVersioningInfo
from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

from tests.kit.temporal_protos import (
    DONE,
    QUEUE,
    START,
    STARTED,
    STICKY,
    TAKEN,
    TASK,
    activity,
    around,
    events,
    task,
    worker,
)

ONE, TWO = Version("dep", "1"), Version("dep", "2")
SET_2 = "`temporal worker deployment set-current-version --deployment-name dep --build-id 2 --namespace default`"
MOVE = (
    "`temporal workflow update-options --workflow-id process_message_1 --namespace default"
    " --versioning-override-behavior auto_upgrade`"
)

START_1 = f"start a worker of version 1, or move it to the current version: {MOVE}"


def of(version: Version | None, *, current: bool) -> Poller:
    return replace(worker(), version=version, is_current=current)


def pinned(found: DescribeWorkflowExecutionResponse, build: str = "1") -> DescribeWorkflowExecutionResponse:
    versioning = found.workflow_execution_info.versioning_info
    versioning.behavior = 1  # type: ignore[assignment]
    versioning.deployment_version.deployment_name, versioning.deployment_version.build_id = "dep", build
    return found


@pytest.mark.parametrize(
    ("found", "poller", "why", "fix"),
    [
        (
            task(1),
            of(TWO, current=False),
            "12@vm polls as version 2 of the deployment dep, and that is not the current version",
            f"make it the current version: {SET_2}",
        ),
        (
            task(1),
            of(None, current=False),
            "12@vm polls without a version, and the task queue has a current version",
            "start a worker of the current version",
        ),
        (
            pinned(task(1)),
            of(TWO, current=True),
            "it is pinned to version 1, and 12@vm polls as version 2 of the deployment dep",
            START_1,
        ),
        (
            pinned(task(1)),
            of(TWO, current=False),
            "it is pinned to version 1, and 12@vm polls as version 2 of the deployment dep",
            f"{START_1}; {SET_2} makes that of 12@vm the current one",
        ),
        (
            pinned(task(1)),
            of(None, current=True),
            "it is pinned to version 1, and 12@vm polls without a version",
            START_1,
        ),
    ],
)
def test_a_worker_of_another_version(
    found: DescribeWorkflowExecutionResponse, poller: Poller, why: str, fix: str
) -> None:
    told = classify(found, (), around(poller), now=START + 9)
    assert (told.cause, told.fix) == (Cause.NO_WORKER, fix)
    assert told.finding == f"no worker has taken it for 9.0 s: {why}"


def test_a_worker_of_its_version_is_busy() -> None:
    for found, poller in ((task(1), of(TWO, current=True)), (pinned(task(1), "2"), of(TWO, current=False))):
        told = classify(found, (), around(poller), now=START + 9)
        assert told.cause == Cause.RUNNING
        assert "is busy with earlier tasks" in told.finding


def test_no_other_worker_gets_what_is_pinned_to_the_version_of_a_killed_one() -> None:
    history = events(STARTED, TASK, TAKEN, DONE, STICKY)
    workers = around(worker(state="gone"), replace(of(TWO, current=True), identity="13@vm"))
    told = classify(pinned(task(1, since=1)), history, workers, now=START + 5)
    assert "it is pinned to version 1" in told.finding


def test_a_killed_worker_and_one_of_another_version() -> None:
    """To wait for the server would not help."""
    workers = around(worker(state="gone"), replace(of(TWO, current=True), identity="13@vm"))
    told = classify(pinned(activity(2)), (), workers, now=START + 8)
    assert (told.cause, told.fix) == (Cause.NO_WORKER, START_1)
    assert told.finding == (
        "the activity ask_llm: its worker 12@vm has exited; the server gives it out again in 20 s"
        " (start-to-close timeout of 28 s): it is pinned to version 1, and 13@vm polls as version 2 of the deployment"
        " dep"
    )
    same = around(worker(state="gone"), replace(of(ONE, current=False), identity="13@vm"))
    assert classify(pinned(activity(2)), (), same, now=START + 8).cause == Cause.WORKER_KILLED


def test_what_a_workflow_is_pinned_to() -> None:
    info = pinned(task(1)).workflow_execution_info
    assert pinned_to(info) == ONE
    assert pinned_to(WorkflowExecutionInfo()) is None
    override = info.versioning_info.versioning_override
    override.pinned.version.deployment_name, override.pinned.version.build_id = "dep", "2"
    assert pinned_to(info) == TWO
    override.auto_upgrade = True
    assert pinned_to(info) is None


def test_the_version_of_a_poller_and_of_its_queue() -> None:
    poller = PollerInfo(identity="12@vm")
    assert version_of(poller) is None
    options = poller.deployment_options
    options.deployment_name, options.build_id = "dep", "2"
    options.worker_versioning_mode = 1  # type: ignore[assignment]
    assert version_of(poller) is None
    options.worker_versioning_mode = 2  # type: ignore[assignment]
    assert version_of(poller) == TWO
    routing = TaskQueueVersioningInfo()
    assert is_current(None, routing)
    assert not is_current(TWO, routing)
    routing.current_deployment_version.deployment_name, routing.current_deployment_version.build_id = "dep", "1"
    assert (is_current(None, routing), is_current(ONE, routing), is_current(TWO, routing)) == (False, True, False)
    routing.ramping_deployment_version.deployment_name, routing.ramping_deployment_version.build_id = "dep", "2"
    assert is_current(TWO, routing)


class Exam:
    """An examination of a project with one queue, which `poller` polls."""

    namespace = "default"

    def __init__(self, poller: Poller) -> None:
        self._poller = poller

    async def queues(self) -> tuple[str, ...]:
        return (QUEUE,)

    async def temporal(self) -> None:
        return None

    async def surroundings(self) -> Surroundings:
        return around(self._poller)

    async def processes(self) -> tuple[()]:
        return ()


@pytest.mark.parametrize(
    ("poller", "fix"),
    [
        (of(TWO, current=False), f"make the version of 12@vm the current one: {SET_2}"),
        (
            of(TWO, current=True),
            "the workers are too slow or too few, or what waits is pinned to another version: see `mika workflows`",
        ),
        (of(None, current=True), "the workers are too slow or too few"),
        (of(None, current=False), "start a worker of the current version"),
    ],
)
def test_a_queue_whose_workers_are_of_another_version(
    monkeypatch: pytest.MonkeyPatch, poller: Poller, fix: str
) -> None:
    async def nothing(*_: object) -> None:
        return None

    async def waits(_temporal: object, name: str) -> Queue:
        return Queue(name, 1, 0, 9.0)

    monkeypatch.setattr(checks, "needs_server", nothing)
    monkeypatch.setattr(checks, "look_at", waits)
    exam: Any = Exam(poller)
    check = asyncio.run(checks.queue(exam))
    assert (check.status, check.fix) == ("warn", fix)
