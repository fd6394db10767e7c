"""What the doctor says of workflows that are broken in themselves."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.broken_workflows import After, Before, Breaking, Buggy, Slow, Untaken, breaker, sleeper
from tests.kit.machine import DEADLINE, poll_until
from tests.kit.terminals import Hand, inside

BROKEN: list[tuple[str, tuple[Any, ...], float, str, str]] = [
    # workflow, arguments, run timeout, cause, words of the finding
    ("Slow", (20.0, 1.0), 60, "timed_out_slow", "start-to-close timeout of 1."),
    ("Slow", (20.0, 20.0), 5, "timed_out_slow", "s that the whole run had"),
    ("Slow", (60.0, 60.0), 60, "running", "activity sleeper has been running for"),
    ("Breaking", (True,), 60, "activity_retrying", "Broken: it broke"),
    ("Breaking", (True,), 6, "activity_failed", "Broken: it broke"),
    ("Breaking", (False,), 60, "activity_failed", "failed once: Broken: it broke"),
    ("Untaken", (60.0,), 60, "no_worker", "nobodys-queue"),
    ("Untaken", (1.0,), 60, "timed_out_no_worker", "no worker took the activity anything within 1."),
    ("Buggy", (), 60, "workflow_task_failing", "KeyError: 'typo'"),
    ("Missing", (), 60, "workflow_task_failing", "is not registered"),
    ("Missing", (), 5, "workflow_task_failing", "(until its time limit of 5."),
]


@pytest.fixture(scope="module")
def sent(_shared_terminals: Hand) -> Iterator[tuple[Hand, list[str]]]:
    """The ids, all started at once: what takes seconds takes them at the same time."""
    queue = f"own-{uuid.uuid4().hex[:6]}"
    workflows = [Slow, Breaking, Untaken, Buggy]
    with inside(_shared_terminals, queue=queue, workflows=workflows, activities=[sleeper, breaker]):
        ids = [
            _shared_terminals.send(name, *args, queue=queue, run_timeout=limit) for name, args, limit, _, _ in BROKEN
        ]
        yield _shared_terminals, ids


@pytest.mark.parametrize("number", range(len(BROKEN)), ids=[f"{name}-{words}" for name, *_, words in BROKEN])
def test_broken_workflows(sent: tuple[Hand, list[str]], number: int) -> None:
    hand, ids = sent
    *_, cause, words = BROKEN[number]
    hand.story(ids[number], cause, words)


def test_a_run_that_nobody_took(server: Hand) -> None:
    workflow_id = server.send(queue="nobodys-queue", run_timeout=1)
    story = server.story(workflow_id, "timed_out_no_worker")
    assert "no worker took it for 1." in story["finding"]


def test_code_that_changed_under_a_running_workflow(server: Hand) -> None:
    hand = server
    queue = f"own-{uuid.uuid4().hex[:6]}"
    with inside(hand, queue=queue, workflows=[Before], max_cached_workflows=0):
        workflow_id = hand.send("Changing", queue=queue)
        hand.story(workflow_id, "running")
        poll_until(lambda: len(hand.story(workflow_id, "running")["timeline"]) > 2, DEADLINE, "the timer", step=0.2)
    with inside(hand, queue=queue, workflows=[After], activities=[sleeper], max_cached_workflows=0):
        hand.ask(lambda c: c.get_workflow_handle(workflow_id).signal("wake", "up"))
        story = hand.story(workflow_id, "workflow_task_failing")
    assert "does not fit what it already did" in story["finding"]
    assert "Nondeterminism" in " ".join(story["evidence"])
