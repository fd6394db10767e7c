"""What the doctor says where the model or the store of conversations is the trouble."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.machine import DEADLINE, free_port, poll_until
from tests.kit.runs import Result
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


@pytest.fixture(scope="module")
def _stub() -> Iterator[StubServer]:
    with StubServer() as stub:
        yield stub


@pytest.fixture(scope="module")
def model(_shared_terminals: Hand, _stub: StubServer) -> Iterator[dict[str, str]]:
    """The settings of a model, and a worker that has them. The API says that WORKFLOW_RUN_TIMEOUT is what helps."""
    _shared_terminals.mend("worker")
    settings = {"LLM_BASE_URL": f"{_stub.url}/v1", "LLM_API_KEY": "key", "LLM_MODEL": "stub"}
    _shared_terminals.worker(**settings)
    yield settings
    _shared_terminals.stop("worker")


@pytest.fixture
def stub(_stub: StubServer) -> Iterator[StubServer]:
    yield _stub
    _stub.reset()


@pytest.mark.parametrize(("name", "answer", "cause", "words", "check"), MODELS, ids=[case[0] for case in MODELS])
def test_trouble_with_the_model(
    server: Hand, model: dict[str, str], stub: StubServer, name: str, answer: Any, cause: str, words: str, check: str
) -> None:
    stub.default = answer or stub.holding()
    workflow_id = server.send(run_timeout=6 if name == "hangs" else 60)
    story = server.story(workflow_id, cause, words)
    assert "ask_llm" in story["finding"]
    if check:
        result, found = server.checks("--llm", **model)
        assert found["llm"]["status"] == "fail", str(result)
        assert check in found["llm"]["finding"], str(result)
        assert "key" not in found["llm"]["finding"].lower().replace("key:", "")
    else:
        assert "WORKFLOW_RUN_TIMEOUT" in story["fix"]


def test_a_model_that_answers(server: Hand, model: dict[str, str], stub: StubServer) -> None:
    result, found = server.checks("--llm", **model)
    assert found["llm"]["status"] == "ok", str(result)
    assert stub.requests[0][2]["max_tokens"] == 1


def test_a_run_that_is_too_short_and_the_setting_that_fixes_it(
    server: Hand, model: dict[str, str], stub: StubServer
) -> None:
    """The model needs 1.5 s; a run of 2 s gives it half."""
    slow = Answer(hold=threading.Event())  # nobody sets it: it answers when its patience is over
    timer = threading.Timer(1.5, slow.hold.set)  # type: ignore[union-attr]
    stub.default = slow
    limits = {"WORKFLOW_RUN_TIMEOUT": "2", "WORKFLOW_EXECUTION_TIMEOUT": "4"}

    def told(workflow_id: str) -> Result:
        return server.mika("doctor", "--workflow", workflow_id, "--json", env=limits)

    def too_slow() -> Result | None:
        """On a busy machine, a run may be over before the model is asked."""
        sent = server.send(run_timeout=2)
        poll_until(lambda: told(sent).json["cause"].startswith("timed_out"), DEADLINE, "the end of the run", step=0.3)
        result = told(sent)
        return result if result.json["cause"] == "timed_out_slow" else None

    result = poll_until(too_slow, 2 * DEADLINE, "a run that is over while the model works")
    workflow_id = result.json["workflow"]["id"]
    assert result.code == 1
    assert "WORKFLOW_RUN_TIMEOUT=4" in result.json["fix"], str(result)
    timer.start()
    again = server.ok("workflows", "retry", workflow_id, "--yes", "--json").json["workflows"][0]
    assert server.result(again["new_id"])["response"] == "from the model"
    timer.join()


def test_a_store_of_conversations_that_is_down(server: Hand) -> None:
    hand = server
    with free_port() as port:
        hand.worker(MONGODB_URL=f"mongodb://127.0.0.1:{port}/")
        workflow_id = hand.send(run_timeout=10)
        story = hand.story(workflow_id, "activity_failed", "ask_llm")
        assert "HistoryError" in story["finding"]
        assert "`mika doctor` checks the store" in story["fix"]
        hand.stop("worker")
