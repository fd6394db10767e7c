"""What the doctor says where the model or the store of conversations is the trouble."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.kit.machine import DEADLINE, free_port, poll_until
from tests.kit.stub_http import Answer, StubServer
from tests.kit.terminals import Hand

# What the model at LLM_BASE_URL may do, what the workflow's cause then is, and what `--llm` says of it.
MODELS: list[tuple[str, Any, str, str, str]] = [
    ("wrong key", Answer(401, {"error": {"message": "bad key"}}), "activity_failed", "LLM_API_KEY", "answers 401"),
    ("too many", Answer(429, {"error": {}}, {"Retry-After": "20"}), "activity_retrying", "429", "answers 429"),
    ("broken", Answer(500, {"error": {"message": "oops"}}), "activity_retrying", "500", "answers 500"),
    (
        "a web page",
        Answer(200, b"<html></html>", {"Content-Type": "text/html"}),
        "activity_failed",
        "OpenAI",
        "text/html",
    ),
    ("hangs", None, "timed_out_slow", "did not answer within", ""),
]


@pytest.mark.parametrize(("name", "answer", "cause", "words", "check"), MODELS, ids=[case[0] for case in MODELS])
def test_trouble_with_the_model(hand: Hand, name: str, answer: Any, cause: str, words: str, check: str) -> None:
    with StubServer() as stub:
        stub.default = answer or stub.holding()
        model = {"LLM_BASE_URL": f"{stub.url}/v1", "LLM_API_KEY": "key", "LLM_MODEL": "stub"}
        hand.worker(**model)
        workflow_id = hand.send(run_timeout=6 if name == "hangs" else 60)
        story = hand.story(workflow_id, cause, words)
        assert "ask_llm" in story["finding"]
        if check:
            result, found = hand.checks("--llm", **model)
            assert found["llm"]["status"] == "fail", str(result)
            assert check in found["llm"]["finding"], str(result)
            assert "key" not in found["llm"]["finding"].lower().replace("key:", "")
        else:
            assert "WORKFLOW_RUN_TIMEOUT" in story["fix"]
        hand.stop("worker")


def test_a_model_that_answers(hand: Hand) -> None:
    with StubServer() as stub:
        result, found = hand.checks("--llm", LLM_BASE_URL=f"{stub.url}/v1", LLM_MODEL="stub")
        assert found["llm"]["status"] == "ok", str(result)
        assert stub.requests[0][2]["max_tokens"] == 1


def test_a_run_that_is_too_short_and_the_setting_that_fixes_it(hand: Hand) -> None:
    """The model needs 1.5 s; a run of 2 s gives it half."""
    with StubServer() as stub:
        slow = Answer(hold=threading.Event())  # nobody sets it: it answers when its patience is over
        timer = threading.Timer(1.5, slow.hold.set)  # type: ignore[union-attr]
        stub.default = slow
        hand.worker(LLM_BASE_URL=f"{stub.url}/v1", LLM_MODEL="stub")
        limits = {"WORKFLOW_RUN_TIMEOUT": "2", "WORKFLOW_EXECUTION_TIMEOUT": "4"}
        workflow_id = hand.send(run_timeout=2)
        result = hand.mika("doctor", "--workflow", workflow_id, "--json", env=limits)
        poll_until(
            lambda: (
                hand.mika("doctor", "--workflow", workflow_id, "--json", env=limits).json["cause"] == "timed_out_slow"
            ),
            DEADLINE,
            "timed_out_slow",
        )
        result = hand.mika("doctor", "--workflow", workflow_id, "--json", env=limits)
        assert result.code == 1
        assert "WORKFLOW_RUN_TIMEOUT=4" in result.json["fix"], str(result)
        timer.start()
        again = hand.ok("workflows", "retry", workflow_id, "--yes", "--json").json["workflows"][0]
        assert hand.result(again["new_id"])["response"] == "from the model"
        timer.join()
        hand.stop("worker")


def test_a_store_of_conversations_that_is_down(hand: Hand) -> None:
    with free_port() as port:
        hand.worker(MONGODB_URL=f"mongodb://127.0.0.1:{port}/")
        workflow_id = hand.send(run_timeout=20)
        story = hand.story(workflow_id, "activity_failed", "ask_llm")
        assert "HistoryError" in story["finding"]
        assert "`mika doctor` checks the store" in story["fix"]
        hand.stop("worker")
