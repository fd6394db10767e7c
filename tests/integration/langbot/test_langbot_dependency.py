"""What `/readyz`, `mika doctor` and `mika send --as langbot` say of LangBot; its API is scripted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from src.api.langbot_check import LangBotCheck
from src.config import Settings
from tests.kit.bot import Bot
from tests.kit.machine import free_port
from tests.kit.stub_http import Answer, StubServer

TAKES = Answer(400, {"code": -1, "msg": "target_type is required"})  # what LangBot says to a key that may send
SENT = Answer(200, {"code": 0, "data": {"sent": True}, "msg": "ok"})


def bots(*found: dict[str, Any]) -> Answer:
    return Answer(200, {"code": 0, "data": {"bots": [{"name": "mika", "enable": True, **bot} for bot in found]}})


def binding(**filters: object) -> dict[str, Any]:
    fields = [{"field": name, "operator": "eq", "value": value} for name, value in filters.items()]
    return {"event_pattern": "message.received", "target_type": "pipeline", "enabled": True, "filters": fields}


@pytest.fixture
def api() -> Iterator[StubServer]:
    with StubServer() as stub:
        yield stub


def state(url: str | None, *, events: int = 0) -> dict[str, str]:
    check = LangBotCheck(Settings(_env_file=None, langbot_api_base_url=url, langbot_api_key="key"))
    for _ in range(events):
        check.saw_event()
    return asyncio.run(check.state()) or {}


def test_without_an_address_nothing_is_said() -> None:
    assert state(None) == {}


def test_nothing_listens() -> None:
    with free_port() as port:
        found = state(f"http://127.0.0.1:{port}")

    assert (found["state"], found["error"]) == ("unavailable", "unreachable")
    assert "LANGBOT_API_BASE_URL" in found["fix"]


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (Answer(401, {"code": -1, "msg": "Invalid API key"}), "denied", "LANGBOT_API_KEY"),
        (Answer(403, {"code": 403, "msg": "no"}), "denied", "may not send"),
        (Answer(200, b"<html>", {"Content-Type": "text/html"}), "failed", "not LangBot's API"),
        (Answer(404, {"detail": "Not Found"}), "failed", "not LangBot's API"),
        (Answer(400, b"bad request"), "failed", "not LangBot's API"),
        (Answer(400, b"[" * 200_000), "failed", "not LangBot's API"),
    ],
)
def test_replies_would_not_be_taken(api: StubServer, answer: Answer, error: str, text: str) -> None:
    api.default = answer

    found = state(api.url)

    assert (found["state"], found["error"]) == ("unavailable", error)
    assert text in found["detail"]
    assert found["fix"]


def test_hanging_langbot_takes_two_seconds(api: StubServer) -> None:
    api.default = api.holding()

    assert state(api.url)["error"] == "timeout"


@pytest.mark.parametrize(
    ("listed", "text", "has_fix"),
    [
        (bots(), "no enabled bot", True),
        (bots({"enable": False}), "no enabled bot", True),
        (bots({}), "for 1 bot;", False),  # before 4.11 there are no bindings
        (bots({"event_bindings": [binding()]}), "for 1 bot;", False),
        (bots({"event_bindings": []}), "hands on no messages", True),
        (bots({"event_bindings": [binding() | {"target_type": "discard"}]}), "hands on no messages", True),
        (bots({"event_bindings": [binding() | {"enabled": False}]}), "hands on no messages", True),
        (
            bots({"event_bindings": [binding(chat_type="person"), binding(chat_type="group", is_at_bot=True)]}),
            "only messages that @ the bot",
            False,
        ),
        (Answer(403, {"code": 403, "msg": "no"}), "may not list", False),
        (Answer(200, b"[]"), "may not list", False),
    ],
)
def test_bots_of_langbot(api: StubServer, listed: Answer, text: str, has_fix: bool) -> None:
    api.plan.extend([TAKES, listed])

    found = state(api.url, events=1)

    assert found["state"] == "ready"
    assert text in found["detail"]
    assert ("fix" in found) is has_fix
    assert "; its last event came " in found["detail"]
    # Nothing was sent, and the key does not reach the answer.
    assert api.requests[0][2] == {}
    assert "key" not in json.dumps(found).replace("API key", "").replace("this key", "")


def test_no_event_yet(api: StubServer) -> None:
    api.plan.extend([TAKES, bots({})])

    assert "no event came since this API started" in state(api.url)["detail"]


def test_doctor_shows_it_and_send_goes_the_same_way(bot: Bot, own_bot: Callable[..., Bot], api: StubServer) -> None:
    """Of a second bot, at the Temporal server of the first one."""
    api.default = Answer(401, {"code": -1, "msg": "Invalid API key"})
    env = {name: str(bot.ports[name]) for name in ("TEMPORAL_PORT", "TEMPORAL_UI_PORT")}
    env |= {"TEMPORAL_TASK_QUEUE": "with-langbot", "LANGBOT_API_BASE_URL": api.url, "LANGBOT_API_KEY": "key"}
    other = own_bot(backend="external", env=env)
    other.up()

    ready = other.http.get("/readyz")
    assert (ready.status_code, ready.json()["langbot"]["state"]) == (200, "unavailable")
    checks = {check["id"]: check for check in json.loads(other.mika("doctor", "--json").out)["checks"]}
    assert checks["langbot"]["status"] == "fail"
    assert "LANGBOT_API_KEY" in checks["langbot"]["fix"]

    api.default = SENT
    api.requests.clear()
    sent = other.ok("send", "--as", "langbot", "--group", "20002", "--user", "10001", "Mika, hello")
    assert "hello" in sent.out
    (path, _, body) = api.requests[-1]
    assert path.endswith("/bots/mika-send/send_message")
    assert (body["target_type"], body["target_id"]) == ("group", "20002")
    assert other.mika("send", "--bot", "x", "hello").code == 2
