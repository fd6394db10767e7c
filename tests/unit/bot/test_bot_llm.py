from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from src.llm import LlmError, LlmTimeoutError, OfflineLlm, OpenAiLlm
from src.messages import Turn
from src.outside import LONGEST_ANSWER, LONGEST_RETRY_AFTER, retry_after
from src.prompt import SystemPrompt
from tests.kit.stub_http import Answer, StubServer, completion

KEY = "sk-secret-key"


@pytest.fixture
def stub():
    with StubServer() as server:
        yield server


def ask(url, history=(), timeout=10.0, images=()):
    async def run():
        llm = OpenAiLlm(url, KEY, "a-model", SystemPrompt(Path("no-such-file")), 1000)
        try:
            return await llm.answer("hi", list(history), timeout=timeout, images=images)
        finally:
            await llm.close()

    return asyncio.run(run())


def failure(url, **kwargs):
    with pytest.raises(LlmError) as caught:
        ask(url, **kwargs)
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


def test_an_answer(stub):
    assert ask(f"{stub.url}/v1", [Turn("before", "yes")]) == "from the model"
    path, headers, body = stub.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert body["model"] == "a-model"
    assert [part["content"] for part in body["messages"][1:]] == ["before", "yes", "hi"]


def test_images_are_shown_to_the_model(stub):
    ask(stub.url, images=["data:image/png;base64,iVBO", "https://a/1.png"])
    assert stub.requests[0][2]["messages"][-1]["content"] == [
        {"type": "text", "text": "hi"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
        {"type": "image_url", "image_url": {"url": "https://a/1.png"}},
    ]


def test_a_model_that_cannot_see(stub):
    stub.default = Answer(400, {"error": {"message": "unknown content type"}})
    assert "can LLM_MODEL see?" in str(failure(stub.url, images=["https://a/1.png"]))
    assert "LLM_MODEL" not in str(failure(stub.url))


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        *((status, False) for status in (400, 401, 403, 404, 413, 422)),
        *((status, True) for status in (408, 409, 429, 500, 502, 529)),
    ],
)
def test_what_a_status_means(stub, status, retryable):
    stub.default = Answer(status, {"error": {"message": f"no\nbecause {KEY}"}})
    error = failure(stub.url)
    assert error.retryable is retryable
    assert str(status) in str(error)
    assert len(stub.requests) == 1  # Temporal retries, the client must not


def test_the_providers_own_word_on_retrying_counts(stub):
    stub.default = Answer(400, {}, {"x-should-retry": "true"})
    assert failure(stub.url).retryable
    stub.default = Answer(500, {}, {"x-should-retry": "false", "retry-after": "7"})
    error = failure(stub.url)
    assert not error.retryable
    assert error.retry_after == 7


def test_an_account_without_credit(stub):
    stub.default = Answer(429, {"error": {"code": "insufficient_quota", "message": "pay"}})
    assert not failure(stub.url).retryable


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>hello</html>", {"Content-Type": "text/html"}),
        Answer(200, b"not json"),
        Answer(200, b"[]"),
        Answer(200, {"ok": True}),
        Answer(200, b"null"),
        Answer(200, b"[" * 200_000, {"Content-Type": "application/json"}),
    ],
    ids=["html", "not-json", "list", "other", "null", "brackets"],
)
def test_a_200_that_is_no_completion_is_a_wrong_address(stub, answer):
    stub.default = answer
    error = failure(stub.url)
    assert not error.retryable
    assert "LLM_BASE_URL" in str(error)


@pytest.mark.parametrize("body", [completion(None), completion(" "), {**completion("x"), "choices": []}])
def test_an_empty_message_is_tried_again(stub, body):
    stub.default = Answer(200, body)
    assert failure(stub.url).retryable


def test_nobody_listens(stub):
    with StubServer() as gone:
        url = gone.url
    error = failure(url)
    assert error.retryable
    assert "cannot be reached" in str(error)


def test_no_answer_in_time(stub):
    stub.default = stub.holding()
    error = failure(stub.url, timeout=0.2)
    assert error.retryable
    assert isinstance(error, LlmTimeoutError)
    assert "0.2 s" in str(error)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3),
        ("0.5", 0.5),
        ("-5", 0),
        ("86400", LONGEST_RETRY_AFTER),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0),
        ("nan", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after(value, seconds):
    assert retry_after({"retry-after": value}, datetime(2026, 11, 24, 12, tzinfo=UTC)) == seconds
    assert retry_after({}) is None


def test_the_offline_reply_says_so():
    text = asyncio.run(OfflineLlm().answer("你好", [Turn("a", "b")], timeout=1))
    assert "LLM_BASE_URL" in text
    assert "你好" in text


def test_this_machine_is_never_behind_a_proxy(stub, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert ask(f"{stub.url}/v1") == "from the model"
    error = failure("http://model.invalid/v1")
    assert "cannot be reached (through the proxy of HTTP_PROXY)" in str(error)


@pytest.mark.parametrize("text", ["a\x00b", "half \ud83d of a pair", "long " * 1_000_000])
def test_any_answer_can_be_stored(stub, text):
    stub.default = Answer(200, completion(text))
    answer = ask(f"{stub.url}/v1")
    assert len(json.dumps(answer)) < 2_000_000, "what Temporal takes"
    assert answer.encode()
    assert "\x00" not in answer
    if len(text) > LONGEST_ANSWER:
        assert answer.endswith("[cut: the whole answer has 5000000 characters]")
