"""Every cause, from what the server tells; and the words for it."""

from __future__ import annotations

from typing import Any

import pytest
from mika.diagnosis.model import FINE, HANGING, Cause, Surroundings, near_miss, seconds
from mika.diagnosis.untaken import pid_of
from mika.diagnosis.workflow import classify
from temporalio.api.history.v1 import HistoryEvent

from tests.kit.temporal_protos import QUEUE, START, activity, asked, failure, task
from tests.unit.cases_ended import ENDED
from tests.unit.cases_running import RUNNING


@pytest.mark.parametrize(("name", "cause", "description", "history", "surroundings", "now", "words"), RUNNING + ENDED)
def test_every_cause(
    name: str,
    cause: str,
    description: Any,
    history: list[HistoryEvent],
    surroundings: Surroundings,
    now: float,
    words: str,
) -> None:
    found = classify(description, history, surroundings, now=START + now)
    assert found.cause == cause, f"{name}: {found}"
    assert words in f"{found.finding}; {found.fix}", f"{name}: {found}"
    assert bool(found.fix) == (found.cause not in FINE), f"{name}: {found}"
    assert "\n" not in found.finding + found.fix


def test_no_cause_is_without_a_case() -> None:
    assert {case[1] for case in RUNNING + ENDED} == {str(cause) for cause in Cause} - {"not_found"}
    assert not HANGING & FINE


def test_the_callers_clock_replaces_the_servers() -> None:
    """The API's and the server's clocks need not agree: here the server is a day ahead."""
    assert classify(task(1), waited=2.9, now=0.0).cause == Cause.RUNNING
    assert classify(task(1), waited=3.0, now=0.0).cause == Cause.NO_WORKER
    paused = activity(1, attempt=2, due=3, failure=failure("429"))
    assert classify(paused, waited=5.9, now=0.0).cause == Cause.ACTIVITY_RETRYING  # 3 s of it were the pause
    assert classify(paused, waited=6.0, now=0.0).cause == Cause.NO_WORKER


def test_more_time_than_the_execution_has_raises_both() -> None:
    known = Surroundings(queue=QUEUE, run_timeout=100, execution_timeout=120)
    found = classify(activity(2, status="timed_out", closed=100), asked(), known)
    assert "WORKFLOW_RUN_TIMEOUT=200 WORKFLOW_EXECUTION_TIMEOUT=400" in found.fix


@pytest.mark.parametrize(
    ("name", "others", "expected"),
    [
        ("mika-bot-task-queue", ["mika_bot_task_queue"], "mika_bot_task_queue"),
        ("mika-bot-task-queue", ["Mika-Bot-Task-Queue", "other"], "Mika-Bot-Task-Queue"),
        ("mika-bot-task-queue", ["mika-bot-task-quene"], "mika-bot-task-quene"),
        ("mika-bot-task-queue", ["billing", "mika-bot-task-queue"], None),
        ("mika-bot-task-queue", [], None),
        ("q", ["p"], None),
    ],
)
def test_near_misses(name: str, others: list[str], expected: str | None) -> None:
    assert near_miss(name, others) == expected


@pytest.mark.parametrize(
    ("identity", "pid"),
    [("12@vm", 12), ("mika-worker/12@vm", 12), ("worker@0123456789abcdef-1", None), ("x", None), ("", None)],
)
def test_pids_of_identities(identity: str, pid: int | None) -> None:
    assert pid_of(identity) == pid


@pytest.mark.parametrize(
    ("value", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (60, "60 s"), (600, "10 min"), (9000, "2 h")]
)
def test_durations(value: float, text: str) -> None:
    assert seconds(value) == text
