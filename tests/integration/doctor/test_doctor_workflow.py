"""What the doctor says of one workflow: one fault of the stack around it, one cause."""

from __future__ import annotations

import signal
import uuid

import pytest

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
@pytest.mark.parametrize("end", ["SIGTERM", "SIGKILL"])
def test_no_worker_and_the_command_that_fixes_it(hand: Hand, end: str) -> None:
    hand.stop("worker", getattr(signal, end))
    workflow_id = hand.send()
    assert "python -m src.workers.temporal_worker" in hand.story(workflow_id, "no_worker")["fix"]
    hand.worker()
    assert hand.result(workflow_id)["response"]
    hand.story(workflow_id, "healthy")


@posix_only
def test_a_suspended_worker(hand: Hand) -> None:
    with suspended(hand.terminals["worker"].pid):
        workflow_id = hand.send()
        story = hand.story(workflow_id, "worker_unresponsive")
        assert "does not answer" in story["finding"]
    assert hand.result(workflow_id)["response"]


def test_a_worker_on_a_misspelt_queue_and_the_setting_that_fixes_it(hand: Hand) -> None:
    hand.worker(TEMPORAL_TASK_QUEUE=MISSPELT)
    workflow_id = hand.send()
    story = hand.story(workflow_id, "wrong_task_queue")
    assert f"TEMPORAL_TASK_QUEUE={QUEUE}" in story["fix"]
    hand.worker(TEMPORAL_TASK_QUEUE=QUEUE)
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


def test_a_worker_in_another_namespace(hand: Hand) -> None:
    other = f"other-{uuid.uuid4().hex[:6]}"
    refused = hand.mika("doctor", "--fix", env={"TEMPORAL_NAMESPACE": other})  # somebody else's server
    assert f"temporal operator namespace create -n {other} " in refused.out
    assert "created" not in refused.err
    created = hand.mika("doctor", "--fix", "--json", env={"TEMPORAL_NAMESPACE": other, "MIKA_BACKEND": "auto"})
    assert f"created the namespace {other}" in created.err
    assert {c["id"]: c["status"] for c in created.json["checks"]}["namespace"] == "ok"
    hand.worker(TEMPORAL_NAMESPACE=other)
    workflow_id = hand.send()
    story = hand.story(workflow_id, "wrong_namespace")
    assert other in story["finding"]
    away = hand.mika("doctor", "--workflow", workflow_id, "--json", env={"TEMPORAL_NAMESPACE": other})
    assert (away.code, away.json["cause"]) == (1, "not_found")
    assert "TEMPORAL_NAMESPACE=default" in away.json["fix"]
    hand.worker()


def test_an_unknown_workflow(hand: Hand) -> None:
    story = hand.story("no-such-workflow", "not_found")
    assert story["workflow"] == {
        "id": "no-such-workflow",
        "run_id": "",
        "status": "not_found",
        "age_s": None,
        "ui": None,
    }


def test_a_prefix_of_several(hand: Hand) -> None:
    common = f"{WORKFLOW}-"
    assert hand.send().startswith(common)
    assert hand.send().startswith(common)
    found = hand.mika("doctor", "--workflow", common, "--json")
    assert (found.code, found.json["error"]["code"]) == (1, "ambiguous")
