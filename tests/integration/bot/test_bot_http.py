"""What the API does with input that is none, and what it keeps to itself. No Temporal runs here."""

from __future__ import annotations

import pytest

from tests.kit.bot_processes import BotProcesses
from tests.kit.machine import free_port

pytestmark = pytest.mark.xdist_group("api")
JSON = {"Content-Type": "application/json"}
GOOD = b'{"user_id": "u", "message": "m"}'


@pytest.fixture(scope="module")
def bot(tmp_path_factory):
    with free_port() as port, BotProcesses(tmp_path_factory.mktemp("bot"), port, WEBHOOK_SECRET="s3cret-ü") as bot:
        bot.api = bot.start_api()
        bot.http.params = {"secret": "s3cret-ü"}
        yield bot


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"hello", JSON, 422, "invalid_message"),
        (b"", JSON, 422, "invalid_message"),
        (b"[1]", JSON, 422, "invalid_message"),
        (b'{"user_id": "u", "message": ["m"]}', JSON, 422, "invalid_message"),
        (b'{"user_id": "u", "message": "  "}', JSON, 422, "invalid_message"),
        (GOOD, {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        (GOOD, {}, 415, "unsupported_media_type"),
        (b'{"user_id": "u", "message": "' + b"x" * 1_000_000 + b'"}', JSON, 413, "message_too_large"),
        (b"x" * 5_000_000, JSON, 413, "message_too_large"),
        ((b"x" * 100_000 for _ in range(30)), JSON, 413, "message_too_large"),
        (GOOD, {**JSON, "X-Webhook-Secret": "wrong"}, 401, "unauthorized"),
        (GOOD, JSON, 503, "temporal_unavailable"),
        (GOOD, {"Content-Type": "application/json; charset=utf-8"}, 503, "temporal_unavailable"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_requests(bot, content, headers, status, code):
    response = bot.http.post("/webhook/langbot", content=content, headers=headers)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == code
    assert response.json()["status"] == status


def test_the_secret_is_asked_for_and_kept(bot):
    bare = {"user_id": "u", "message": "m"}
    for given in (None, {}, {"secret": ""}, {"secret": "s3cret"}):
        url = bot.http.base_url.join("/webhook/langbot").copy_with(params=given)
        request = bot.http.build_request("POST", url, json=bare)
        request.url = url
        assert bot.http.send(request).status_code == 401
    assert "s3cret" not in bot.api.output()
    assert "POST /webhook/langbot" in bot.api.output()


def test_other_routes_and_methods(bot):
    assert bot.http.get("/nothing").json()["code"] == "not_found"
    response = bot.http.get("/webhook/langbot")
    assert response.status_code == 405
    assert response.headers["content-type"] == "application/problem+json"
    assert "allow" in response.headers
    assert bot.http.get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_head_answers_as_get_does_without_a_body(bot, path):
    get, head = bot.http.get(path), bot.http.head(path)
    assert head.status_code == get.status_code
    assert head.headers["content-type"] == get.headers["content-type"]
    assert head.content == b""


def test_the_log_is_json(bot):
    import json

    lines = bot.api.output().splitlines()
    assert lines
    for line in lines:
        assert json.loads(line)["event"]
