"""LangBot's n8n runner: its body, and its four ways to log in."""

from __future__ import annotations

import base64
import time

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.requests import Request

from src.api.n8n_login import check_login
from src.chat.n8n import read_n8n
from src.config import Settings
from src.intake.problems import Problem
from src.messages import IncomingMessage

KEY = "a secret that is long enough for every algorithm, also HS512: 64"


def body(**more):
    return {
        "chatInput": "hi",
        "message": "hi",
        "user_message_text": "hi",
        "conversation_id": "c",
        "session_id": "group_20002",
        "user_id": "group_20002",
        "msg_create_time": 1795493979,
        "launcher_type": "group",
        "launcher_id": 20002,
        "sender_id": 10001,
        "_pipeline_bound_plugins": None,
        **more,
    }


@pytest.mark.parametrize(
    ("more", "incoming"),
    [
        ({}, IncomingMessage("10001", "hi", "20002")),
        ({"sender_id": None}, IncomingMessage("group_20002", "hi", "20002")),  # all of the group as one
        ({"launcher_type": None, "launcher_id": None}, IncomingMessage("10001", "hi", "20002")),
        (
            {"user_id": "person_10001", "session_id": "person_10001", "launcher_type": "person", "launcher_id": 10001},
            IncomingMessage("10001", "hi"),
        ),
        (
            {"user_id": "person_10001", "launcher_type": None, "launcher_id": None, "sender_id": None},
            IncomingMessage("10001", "hi"),
        ),
        (
            {"user_id": "user_7", "launcher_type": None, "launcher_id": None, "sender_id": None},
            IncomingMessage("user_7", "hi"),
        ),
        ({"chatInput": " ", "message": "m"}, IncomingMessage("10001", "m", "20002")),
    ],
    ids=lambda value: str(value)[:60],
)
def test_who_speaks_and_where(more, incoming):
    assert read_n8n(body(**more)) == incoming


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"chatInput": "", "message": "", "user_message_text": None}, "invalid_message"),
        ({"user_id": None, "session_id": "", "launcher_id": None, "sender_id": None}, "invalid_message"),
        ({"chatInput": "x" * 100_001}, "message_too_large"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bodies_that_are_refused(more, code):
    with pytest.raises(Problem) as caught:
        read_n8n(body(**more))
    assert caught.value.code == code


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(list(body())), st.none() | st.integers() | st.text() | st.lists(st.text())))
def test_no_body_is_too_odd(change):
    try:
        read_n8n(body(**change))
    except Problem as problem:
        assert problem.code == "invalid_message"  # noqa: PT017 - not every body is refused


def logged_in(settings, **headers):
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    request = Request({"type": "http", "headers": raw, "query_string": b"", "path": "/", "method": "POST"})
    try:
        check_login(request, Settings(_env_file=None, **settings))
    except Problem as problem:
        assert problem.code == "unauthorized"  # noqa: PT017
        assert KEY not in problem.detail  # noqa: PT017
        return False
    return True


def basic(text):
    return f"Basic {base64.b64encode(text.encode()).decode()}"


def test_none_asks_for_the_webhooks_secret():
    assert logged_in({})
    assert not logged_in({"webhook_secret": "s"})
    assert logged_in({"webhook_secret": "s"}, x_webhook_secret="s")


def test_basic():
    settings = {"n8n_auth": "basic", "n8n_basic_username": "u", "n8n_basic_password": "p:ü", "webhook_secret": "s"}
    assert logged_in(settings, authorization=basic("u:p:ü"))
    assert logged_in(settings, authorization=basic("u:p:ü").replace("Basic", "basic"))
    for wrong in (
        "",
        "Basic",
        "Basic ???",
        basic("u:p"),
        basic(":"),
        basic("u:p:ü").replace("Basic", "Bearer"),
        "Basic /w==",
    ):
        assert not logged_in(settings, authorization=wrong)
    assert not logged_in(settings, x_webhook_secret="s")


def test_header():
    settings = {"n8n_auth": "header", "n8n_header_name": "X-N8N-Key", "n8n_header_value": "v"}
    assert logged_in(settings, x_n8n_key="v")
    assert not logged_in(settings, x_n8n_key="w")
    assert not logged_in(settings)


def token(key=KEY, algorithm="HS256", **claims):
    now = int(time.time())
    claims = {"exp": now + 3600, "iat": now, "sub": "n8n-webhook", **claims}
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, key, algorithm=algorithm)


def test_jwt():
    settings = {"n8n_auth": "jwt", "n8n_jwt_secret": KEY}
    assert logged_in(settings, authorization=f"Bearer {token()}")
    now = int(time.time())
    assert logged_in(settings, authorization=f"Bearer {token(iat=now + 30)}")  # a clock that is ahead
    head, payload, _ = token().split(".")
    wrong = [
        "",
        "Bearer",
        "Bearer x",
        "Bearer a.b.c",
        token(),
        f"Basic {token()}",
        f"Bearer {token(KEY + 'x')}",
        f"Bearer {token(exp=now - 120)}",
        f"Bearer {token(exp=None)}",
        f"Bearer {token(exp='soon')}",
        f"Bearer {token(algorithm='HS384')}",
        f"Bearer {token('', 'none')}",
        f"Bearer {head}.{payload}.",
    ]
    for authorization in wrong:
        assert not logged_in(settings, authorization=authorization), authorization


@pytest.mark.parametrize("mode", ["basic", "header", "jwt"])
def test_a_login_without_its_secret_is_refused_at_the_start(mode):
    with pytest.raises(ValidationError, match=f"N8N_AUTH={mode} needs N8N_"):
        Settings(_env_file=None, n8n_auth=mode)
