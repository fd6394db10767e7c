"""What the doctor says of workflows that are broken in themselves."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.kit.broken_workflows import After, Before, Breaking, Buggy, Slow, Untaken, breaker, sleeper
from tests.kit.machine import DEADLINE, poll_until
from tests.kit.terminals import Hand, inside

BROKEN: list[tuple[str, tuple[Any, ...], float, str, str]] = [
    # workflow, arguments, run timeout, cause, words of the finding
    ("Slow", (20.0, 1.0), 60, "timed_out_slow", "start-to-close timeout of 1.0 s"),
    ("Slow", (20.0, 20.0), 2, "timed_out_slow", "of the 2.0 s that the whole run had"),
    ("Slow", (8.0, 20.0), 60, "running", "activity sleeper has been running for"),
    ("Breaking", (True,), 60, "activity_retrying", "Broken: it broke"),
    ("Breaking", (True,), 3, "activity_failed", "Broken: it broke"),
    ("Breaking", (False,), 60, "activity_failed", "failed once: Broken: it broke"),
    ("Untaken", (60.0,), 60, "no_worker", "nobodys-queue"),
    ("Untaken", (1.0,), 60, "timed_out_no_worker", "no worker took the activity anything within 1.0 s"),
    ("Buggy", (), 60, "workflow_task_failing", "KeyError: 'typo'"),
    ("Missing", (), 60, "workflow_task_failing", "is not registered"),
    ("Missing", (), 2, "workflow_task_failing", "until its time limit of 2.0 s was over"),
]


@pytest.mark.parametrize(("name", "args", "limit", "cause", "words"), BROKEN)
def test_broken_workflows(hand: Hand, name: str, args: tuple[Any, ...], limit: float, cause: str, words: str) -> None:
    queue = f"own-{uuid.uuid4().hex[:6]}"
    with inside(hand, queue=queue, workflows=[Slow, Breaking, Untaken, Buggy], activities=[sleeper, breaker]):
        workflow_id = hand.send(name, *args, queue=queue, run_timeout=limit)
        hand.story(workflow_id, cause, words)


def test_a_run_that_nobody_took(hand: Hand) -> None:
    workflow_id = hand.send(queue="nobodys-queue", run_timeout=1)
    story = hand.story(workflow_id, "timed_out_no_worker")
    assert "no worker took it for 1." in story["finding"]


def test_code_that_changed_under_a_running_workflow(hand: Hand) -> None:
    queue = f"own-{uuid.uuid4().hex[:6]}"
    with inside(hand, queue=queue, workflows=[Before], max_cached_workflows=0):
        workflow_id = hand.send("Changing", queue=queue)
        hand.story(workflow_id, "running")
        poll_until(lambda: len(hand.story(workflow_id, "running")["timeline"]) > 2, DEADLINE, "the timer")
    with inside(hand, queue=queue, workflows=[After], activities=[sleeper], max_cached_workflows=0):
        hand.ask(lambda c: c.get_workflow_handle(workflow_id).signal("wake", "up"))
        story = hand.story(workflow_id, "workflow_task_failing")
    assert "does not fit what it already did" in story["finding"]
    assert "Nondeterminism" in " ".join(story["evidence"])
