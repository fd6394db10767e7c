"""`mika workflows`: what a browser is not needed for."""

from __future__ import annotations

import re
import uuid

from tests.kit.broken_workflows import Before, Loop
from tests.kit.machine import DEADLINE, poll_until, posix_only
from tests.kit.terminals import Hand, inside


def test_the_list_of_workflows_needs_no_browser(hand: Hand) -> None:
    good = hand.post().json()["workflow_id"]
    stuck = hand.send("Missing")
    bad = hand.send(queue="nobodys-queue", run_timeout=1)
    assert re.search(r" 10001123\.{3} .* - +" + good.removeprefix("process_message_")[:8], hand.ok("workflows").out)
    hand.story(bad, "timed_out_no_worker")
    hand.story(stuck, "workflow_task_failing")
    found = {row["id"]: row for row in hand.ok("workflows", "--json").json["workflows"]}
    assert (found[good]["status"], found[good]["cause"]) == ("completed", "healthy")
    assert (found[good]["who"], found[good]["attempts"]) == ("10001123...", None)
    assert found[stuck]["who"] is None
    assert (found[stuck]["status"], found[stuck]["cause"]) == ("running", "workflow_task_failing")
    assert (found[bad]["status"], found[bad]["cause"]) == ("timed_out", "timed_out_no_worker")
    short = good.removeprefix("process_message_")[:8]
    assert f"  {short}\n" in hand.ok("workflows").out
    assert good not in hand.ok("workflows").out
    assert hand.ok("doctor", "--workflow", short, "--json").json["workflow"]["id"] == good
    assert hand.mika("doctor", "--workflow", "--json").json["workflow"]["id"] == bad  # the last one
    assert bad in hand.mika("logs", "--workflow", "last").err  # it was not the stack of this folder that had it
    assert short not in hand.ok("workflows", "--failed").out
    running = hand.ok("workflows", "--running", "-n", "1", "--json").json["workflows"]
    assert [row["id"] for row in running] == [stuck]
    refused = hand.mika("workflows", "cancel", good, "--yes")
    assert refused.code == 1
    assert "does not run" in refused.err
    asked = hand.mika("workflows", "terminate", stuck, stdin="n\n")
    assert asked.code == 130
    assert hand.mika("workflows", "terminate", stuck, stdin="y\n").code == 0
    hand.story(stuck, "terminated")


def test_one_that_runs_is_replaced_in_one_step(hand: Hand) -> None:
    stuck = hand.send("Missing")
    hand.story(stuck, "workflow_task_failing")
    (outcome,) = hand.ok("workflows", "retry", stuck, "--replace", "--yes", "--json").json["workflows"]
    hand.story(stuck, "terminated")
    assert hand.story(outcome["new_id"], "workflow_task_failing")["workflow"]["status"] == "running"
    hand.ok("workflows", "terminate", outcome["new_id"], "--yes")


def test_cancel(hand: Hand) -> None:
    queue = f"own-{uuid.uuid4().hex[:6]}"
    with inside(hand, queue=queue, workflows=[Before]):
        workflow_id = hand.send("Changing", queue=queue)
        hand.story(workflow_id, "running")
        hand.ok("workflows", "cancel", workflow_id, "--yes")
        hand.story(workflow_id, "canceled")


def test_of_a_chain_of_runs_only_the_newest_is_a_row(hand: Hand) -> None:
    queue = f"own-{uuid.uuid4().hex[:6]}"
    with inside(hand, queue=queue, workflows=[Loop]):
        workflow_id = hand.send("Loop", 4, queue=queue)

        def statuses() -> list[str]:
            rows = hand.ok("workflows", "--json").json["workflows"]
            return [row["status"] for row in rows if row["id"] == workflow_id]

        poll_until(lambda: "completed" in statuses(), DEADLINE, "its last run has completed")
        assert statuses() == ["completed"]


@posix_only
def test_without_a_server_there_is_no_story(hand: Hand) -> None:
    hand.stop("temporal")
    for command in (["doctor", "--workflow", "x"], ["workflows"], ["workflows", "retry", "x", "--yes"]):
        result = hand.error(*command, code=3)
        assert "no stack is running" in result.err
        assert "nothing listens there" in result.err
    assert hand.mika("doctor", "--workflow", "x", "--json").json["error"]["code"] == "not_running"
