"""Who may see or delete what is kept of a user. Real API, real file; no Temporal runs here."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest
from mika.config import load as config
from mika.readiness import webhook

from src.history.keys import KeyFile
from src.history.sqlite import SqliteHistory
from src.messages import Conversation, FinishedTurn
from tests.kit.bot_processes import BotProcesses
from tests.kit.machine import free_port

pytestmark = pytest.mark.xdist_group("api")
HERE = {"X-Mika": "1"}
SECRET = "s3cret"
SAID = [("1000112345", "", "private words"), ("1000112345", "20002", "group words"), ("7", "", "of somebody else")]


def remember(folder):
    file = folder / ".mika" / "data" / "history.sqlite3"

    async def work():
        history = SqliteHistory(file, KeyFile(file.with_suffix(".key")), timedelta(days=90))
        for number, (user, group, text) in enumerate(SAID):
            turn = FinishedTurn(Conversation(user, group), text, "reply", time.time() + number)
            await history.save(f"w{number}", turn)
        await history.close()

    asyncio.run(work())


@pytest.fixture(scope="module", params=["", SECRET], ids=["open", "secret"])
def bot(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bot")
    with free_port() as port, BotProcesses(folder, port, WEBHOOK_SECRET=request.param) as bot:
        bot.secret = request.param
        bot.api = bot.start_api()
        yield bot


@pytest.fixture
def allowed(bot):
    remember(bot.folder)
    return {"X-Webhook-Secret": SECRET} if bot.secret else HERE


def messages(response):
    assert response.status_code == 200, response.text
    return [turn["message"] for turn in response.json()["turns"]]


def test_shown_and_forgotten(bot, allowed):
    address = "/history/1000112345"
    assert messages(bot.http.get(address, headers=allowed)) == ["private words", "group words"]
    assert messages(bot.http.get(address, params={"group_id": ""}, headers=allowed)) == ["private words"]
    assert messages(bot.http.get(address, params={"group_id": "20002"}, headers=allowed)) == ["group words"]
    assert bot.http.delete(address, params={"group_id": "20002"}, headers=allowed).json() == {"forgotten": 1}
    assert bot.http.delete(address, headers=allowed).json() == {"forgotten": 1}
    assert messages(bot.http.get(address, headers=allowed)) == []
    assert messages(bot.http.get("/history/7", headers=allowed)) == ["of somebody else"]
    assert "GET /history/10001123... HTTP" in bot.api.output()
    assert "1000112345" not in bot.api.output()


@pytest.mark.parametrize("user", ["a%2Fb", "%E4%BD%A0", "%00", "..%2F..", "x" * 5000, "%FF"])
def test_any_user_is_asked_for_without_a_fault(bot, allowed, user):
    assert messages(bot.http.get(f"/history/{user}", headers=allowed)) == []


def test_nobody_else(bot, allowed):
    if bot.secret:
        refused = [{}, HERE, {"X-Webhook-Secret": "wrong"}]
        status, code = 401, "unauthorized"
    else:
        # A page cannot send the header; a proxy names whom it speaks for.
        refused = [{}, {**HERE, "X-Forwarded-For": "203.0.113.9"}, {**HERE, "Host": "192.168.1.5"}]
        refused += [{**HERE, "X-Forwarded-Host": "bot.example"}, {**HERE, "Via": "1.1 proxy"}]
        status, code = 403, "only_from_here"
    for headers in refused:
        for method in ("GET", "DELETE"):
            response = bot.http.request(method, "/history/1000112345", headers=headers)
            assert (response.status_code, response.json()["code"]) == (status, code), headers
    assert len(messages(bot.http.get("/history/1000112345", headers=allowed))) == 2


def test_a_browser_is_told_that_it_may_not(bot, allowed):
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "DELETE"}
    asked["Access-Control-Request-Headers"] = "x-mika"
    response = bot.http.options("/history/1000112345", headers=asked)
    assert response.status_code == 405
    assert not any(name.startswith("access-control") for name in response.headers)


def test_behind_a_tunnel_only_the_secret_counts(bot, allowed):
    with bot.api_here(API_ALLOWED_HOSTS="bot.example.org") as other:
        response = other.http.get("/history/1000112345", headers=allowed)
    assert response.status_code == (200 if bot.secret else 403), response.text


def test_another_key_is_said(bot, allowed):
    key = bot.folder / ".mika" / "data" / "history.key"
    with bot.api_here(HISTORY_KEY="k" * 16, WEBHOOK_SECRET="") as other:
        response = other.http.delete("/history/1000112345", headers=HERE)
    assert (response.status_code, response.json()["code"]) == (503, "history_unavailable")
    assert "HISTORY_KEY" in response.json()["detail"]
    assert key.exists()


@pytest.mark.parametrize("given", ["", SECRET])
def test_mika_up_proposes_mika_send_to_who_has_the_secret(bot, given):
    environ = {"API_PORT": str(bot.http.base_url.port), "WEBHOOK_SECRET": given}
    found = asyncio.run(webhook.is_spoken(config.load(bot.folder, environ=environ)))
    assert found is (bot.secret in ("", given))
