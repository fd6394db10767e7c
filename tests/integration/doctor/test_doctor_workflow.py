"""What the doctor says of one workflow: one fault of the stack around it, one cause."""

from __future__ import annotations

from tests.kit.machine import posix_only
from tests.kit.terminals import MISSPELT, QUEUE, WORKFLOW, Hand, suspended


def test_a_message_that_was_answered_is_healthy(hand: Hand) -> None:
    workflow_id = hand.post().json()["workflow_id"]
    story = hand.story(workflow_id, "healthy")
    told = " ".join(entry["text"] for entry in story["timeline"])
    for word in ("started by mika-api/", "taken by worker mika-worker/", "activity ask_llm completed", "completed"):
        assert word in told
    assert "hello" not in told
    assert f"/workflows/{workflow_id}/" in story["workflow"]["ui"]
    assert story["workflow"]["status"] == "completed"
    assert hand.mika("doctor", "--workflow", "last", "--json").json["workflow"]["id"] == workflow_id
    shown = hand.mika("doctor", "--workflow", workflow_id[:-4], "--payloads")
    assert shown.code == 0, str(shown)
    assert '"message": "hello"' in shown.out


@posix_only
def test_a_suspended_worker(hand: Hand) -> None:
    with suspended(hand.terminals["worker"].pid):
        workflow_id = hand.send()
        story = hand.story(workflow_id, "worker_unresponsive")
        assert "does not answer" in story["finding"]
    assert hand.result(workflow_id)["response"]


def test_a_message_in_a_misspelt_queue_and_its_retry(hand: Hand) -> None:
    workflow_id = hand.send(queue=MISSPELT)
    story = hand.story(workflow_id, "wrong_task_queue")
    assert f"TEMPORAL_TASK_QUEUE={QUEUE}" in story["fix"]
    again = hand.ok("workflows", "retry", workflow_id, "--yes", "--json").json["workflows"][0]
    assert again["queue"] == QUEUE
    assert hand.result(again["new_id"])["response"]
    hand.ok("workflows", "terminate", workflow_id, "--yes")
    hand.story(workflow_id, "terminated")


def test_an_unknown_workflow(server: Hand) -> None:
    story = server.story("no-such-workflow", "not_found")
    assert story["workflow"] == {
        "id": "no-such-workflow",
        "run_id": "",
        "status": "not_found",
        "age_s": None,
        "ui": None,
    }


def test_a_prefix_of_several(server: Hand) -> None:
    common = f"{WORKFLOW}-"
    assert server.send().startswith(common)
    assert server.send().startswith(common)
    found = server.mika("doctor", "--workflow", common, "--json")
    assert (found.code, found.json["error"]["code"]) == (1, "ambiguous")
