"""The simple body, bodies that are none, and the problems that they become."""

from __future__ import annotations

import json
import logging

import pytest
from mika.diagnosis.users import shorten

from src.api.problems import response_to
from src.chat.events import is_event, read_event
from src.intake.json_body import decode
from src.intake.problems import KINDS, Problem
from src.intake.simple import MAX_MESSAGE_BYTES, read_simple
from src.logging_setup import _tidy_access_line
from src.messages import IncomingMessage, workflow_id_for


def parse(body):
    decoded = decode(body)
    return read_event(decoded) if is_event(decoded) else read_simple(decoded)


def parsed(body):
    return parse(json.dumps(body).encode())


def test_the_simple_body():
    body = {"user_id": 10001, "message": " hi ", "group_id": "", "message_id": 7, "images": None}
    incoming, message_id = parsed(body)
    assert incoming == IncomingMessage("10001", " hi ")
    assert incoming.message_type == "private"
    assert message_id == "7"
    assert parsed({"user_id": "u", "message": "m", "group_id": 5})[0].message_type == "group"


def test_the_body_of_langbots_n8n_runner():
    body = {
        "chatInput": "hi",
        "message": "hi",
        "user_id": "person_10001",
        "conversation_id": "c",
        "launcher_id": 10001,
        "_monitoring_bot_name": "x",
    }
    assert parsed(body)[0] == IncomingMessage("person_10001", "hi")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"hi \ud83d", "hi ?"),
        (r"\ude00 hi \ud83d\ude00 \\ud83d", "? hi 😀 \\ud83d"),
    ],
)
def test_half_a_surrogate_pair_does_not_make_a_body_invalid(written, read):
    incoming, _ = parse(b'{"user_id": "u", "message": "' + written.encode() + b'"}')
    assert incoming.message == read


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
        b'{"user_id": "u", "message": "m\\u0000", "group_id": "a\\u0000"}',
        b'{"user_id": "u\\u0000", "message": "m"}',
        b'{"a": "\\ud800", "b": ' + b"[" * 100_000,
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
    assert [shorten(user) for user in ("12345678", "12345", "u", "")] == ["1234...", "12...", "...", "..."]


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/history/2851234567890?group_id=7", "/history/28512345..."),
        ("/history/12345", "/history/12..."),
        ("/history/anonymous%2Fsomebody", "/history/anonymou..."),
        ("/history/%E4%BD%A0%E5%A5%BD", "/history/%E4%BD%A0..."),
        ("/history/", "/history/..."),
        ("/webhook/langbot?secret=x", "/webhook/langbot"),
    ],
)
def test_the_access_log_has_neither_a_secret_nor_an_id(target, shown):
    said = ("127.0.0.1:1", "GET", target, "1.1", 200)
    record = logging.LogRecord("uvicorn.access", logging.INFO, "", 0, '%s - "%s %s HTTP/%s" %d', said, None)
    assert _tidy_access_line(record)
    assert record.getMessage() == f'127.0.0.1:1 - "GET {shown} HTTP/1.1" 200'


@pytest.mark.parametrize("code", KINDS)
def test_the_shape_of_a_problem(code):
    response = response_to(Problem(code, "what", workflow_id="w"))
    body = json.loads(response.body)
    assert response.media_type == "application/problem+json"
    assert body["status"] == response.status_code
    assert (body["code"], body["detail"], body["workflow_id"]) == (code, "what", "w")
    retry = {"no_worker", "temporal_unavailable", "worker_unresponsive", "workflow_timeout", "activity_failed"}
    retry |= {"activity_paused", "api_stopping", "api_overloaded", "busy", "history_unavailable"}
    assert ("retry-after" in response.headers) == (code in retry)
    assert "retry-after" not in response_to(Problem(code, "what", retry=False)).headers
