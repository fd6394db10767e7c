from __future__ import annotations

import json

import pytest

from src.api.models import MAX_MESSAGE_BYTES, parse
from src.api.problems import KINDS, Problem
from src.api.service import workflow_id_for
from src.logging_setup import shorten
from src.messages import IncomingMessage, ReplyTarget


def parsed(body):
    return parse(json.dumps(body).encode())


def test_the_simple_body():
    received = parsed({"user_id": 10001, "message": " hi ", "group_id": "", "message_id": 7, "images": None})
    assert received.incoming == IncomingMessage("10001", " hi ")
    assert received.incoming.message_type == "private"
    assert received.message_id == "7"
    assert not received.is_event
    assert parsed({"user_id": "u", "message": "m", "group_id": 5}).incoming.message_type == "group"


def test_the_body_of_langbots_n8n_runner():
    body = {
        "chatInput": "hi",
        "message": "hi",
        "user_id": "person_10001",
        "conversation_id": "c",
        "launcher_id": 10001,
        "_monitoring_bot_name": "x",
    }
    assert parsed(body).incoming == IncomingMessage("person_10001", "hi")


def event(**data):
    message = [
        {"type": "Source", "id": 3, "timestamp": 1795493984},
        {"type": "At", "target": "30003", "display": ""},
        {"type": "Plain", "text": "你"},
        {"type": "Plain", "text": "好"},
    ]
    default = {"bot_uuid": "b", "group": {"id": "20002"}, "sender": {"id": "10001", "name": ""}, "message": message}
    return {"uuid": "u", "event_type": "bot.group_message", "data": {**default, **data}}


def test_a_group_event():
    received = parsed(event())
    assert received.incoming == IncomingMessage("10001", "你好", "20002", ReplyTarget("b", "group", "20002"))
    assert received.message_id == "b/3"
    assert received.is_event


def test_a_private_event():
    received = parsed({**event(group=None), "event_type": "bot.person_message"})
    assert received.incoming == IncomingMessage("10001", "你好", "", ReplyTarget("b", "person", "10001"))


def test_an_event_without_text_or_of_another_kind_is_nothing():
    assert parsed(event(message=[{"type": "Image", "url": "x"}])) is None
    assert parsed({"event_type": "bot.joined", "data": {}}) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"user_id": "u"}',
        b'{"message": "m"}',
        b'{"user_id": "u", "message": ""}',
        b'{"user_id": "u", "message": " \\n"}',
        b'{"user_id": "u", "message": 5}',
        b'{"user_id": "u", "message": null}',
        b'{"user_id": "u", "message": ["m"]}',
        b'{"user_id": "u", "message": "\\ud800"}',
        b'{"user_id": "", "message": "m"}',
        b'{"user_id": true, "message": "m"}',
        b'{"user_id": 1.5, "message": "m"}',
        b'{"user_id": {}, "message": "m"}',
        b'{"user_id": "u", "message": "m", "group_id": []}',
        b'{"user_id": "u", "message": "m", "message_id": {}}',
        b'{"event_type": "bot.group_message", "data": []}',
        b'{"event_type": "bot.group_message", "data": {"message": "text", "sender": {"id": 1}}}',
    ],
)
def test_bad_bodies(body):
    with pytest.raises(Problem) as caught:
        parse(body)
    assert caught.value.code == "invalid_message"
    assert "\n" not in caught.value.detail


def test_a_message_that_is_too_large():
    with pytest.raises(Problem) as caught:
        parsed({"user_id": "u", "message": "好" * (MAX_MESSAGE_BYTES // 3 + 1)})
    assert caught.value.code == "message_too_large"
    assert parsed({"user_id": "u", "message": "x" * MAX_MESSAGE_BYTES})


def test_ids_of_workflows():
    message = IncomingMessage("1000112345", "hi", "g")
    assert workflow_id_for(message, "1") == workflow_id_for(message, "1")
    others = [
        workflow_id_for(message, "2"),
        workflow_id_for(IncomingMessage("1000112345", "hi"), "1"),
        workflow_id_for(message, ""),
        workflow_id_for(message, ""),
    ]
    assert len({workflow_id_for(message, "1"), *others}) == 5
    assert "10001" not in workflow_id_for(message, "1")


def test_shortened_ids():
    assert shorten("1000112345") == "10001123..."
    assert shorten("u") == "u..."


@pytest.mark.parametrize("code", KINDS)
def test_the_shape_of_a_problem(code):
    response = Problem(code, "what", workflow_id="w").response()
    body = json.loads(response.body)
    assert response.media_type == "application/problem+json"
    assert body["status"] == response.status_code
    assert (body["code"], body["detail"], body["workflow_id"]) == (code, "what", "w")
    retry = {"no_worker", "temporal_unavailable", "worker_unresponsive", "workflow_timeout", "activity_failed"}
    retry |= {"api_stopping", "api_overloaded"}
    assert ("retry-after" in response.headers) == (code in retry)
    assert "retry-after" not in Problem(code, "what", retry=False).response().headers
