"""Which accounts are the bot's own: LangBot's events do not say, but its API does."""

from __future__ import annotations

import asyncio
import time

import pytest

from src.chat.accounts import Accounts
from src.chat.hearing import Hearing
from src.chat.silence import Silence
from src.config import Settings
from tests.kit.machine import free_port
from tests.kit.stub_http import Answer, StubServer


def known(account):
    values = {"bot_account_id": account, "webhook_url": None}
    return Answer(body={"code": 0, "msg": "ok", "data": {"bot": {"uuid": "b", "adapter_runtime_values": values}}})


def accounts(url, **settings):
    return Accounts(Settings(_env_file=None, langbot_api_base_url=url, langbot_api_key="lb-key", **settings))


def ask(which, *bots):
    async def run():
        return await asyncio.gather(*(which.of(bot) for bot in bots))

    return [set(found) for found in asyncio.run(run())]


@pytest.fixture
def langbot():
    with StubServer() as stub:
        yield stub


def test_langbot_is_asked_once(langbot):
    langbot.default = known(30003)
    which = accounts(langbot.url)
    assert ask(which, "a/b", "a/b", "a/b") == [{"30003"}] * 3
    ((path, headers, _),) = langbot.requests
    assert path == "/api/v1/platform/bots/a%2Fb"
    assert headers["x-api-key"] == "lb-key"


def test_an_id_never_leaves_its_place_in_the_path(langbot):
    langbot.default = known(30003)
    assert ask(accounts(langbot.url), "..", "../x") == [set(), set()]
    assert not langbot.requests


@pytest.mark.parametrize(
    "answer",
    [
        Answer(401, {}),
        Answer(500, {}),
        Answer(200, b"<html>"),
        Answer(200, []),
        Answer(200, b"[" * 200_000),
        Answer(200, {"data": 5}),
        known(0),
    ],
    ids=lambda answer: str(answer.body)[:30],
)
def test_langbot_does_not_know(langbot, answer):
    langbot.default = answer
    assert ask(accounts(langbot.url), "b") == [set()]


def test_nobody_listens():
    with free_port() as port:
        assert ask(accounts(f"http://127.0.0.1:{port}"), "b") == [set()]


def test_what_was_known_stays(langbot, monkeypatch):
    monkeypatch.setattr("src.chat.accounts._FRESH", 0)
    langbot.plan += [known(30003), Answer(500, {})]
    which = accounts(langbot.url)
    assert ask(which, "b") == ask(which, "b") == [{"30003"}]
    assert len(langbot.requests) == 2


def test_a_setting_needs_no_question(langbot):
    assert ask(accounts(langbot.url, bot_ids="1, 2"), "b") == [{"1", "2"}]
    assert ask(Accounts(Settings(_env_file=None)), "b") == [set()]
    assert ask(accounts(langbot.url), "") == [set()]
    assert not langbot.requests


def test_bots_that_somebody_makes_up_are_bounded(langbot, monkeypatch):
    monkeypatch.setattr("src.chat.accounts._MAX_BOTS", 3)
    langbot.default = known(1)
    assert ask(accounts(langbot.url), *"abcdef") == [{"1"}] * 3 + [set()] * 3
    assert len(langbot.requests) == 3


def test_langbot_that_is_slow_is_waited_for_briefly_and_heard_later(langbot):
    """A LangBot 4.10 that has just been started needed 5 s, and its event has 15 s for all that happens to it."""
    answer = langbot.holding()
    answer.body = known(30003).body
    langbot.plan.append(answer)

    async def run():
        which = accounts(langbot.url)
        began = time.monotonic()
        first = await asyncio.gather(which.of("b"), which.of("b"))
        waited = time.monotonic() - began
        answer.hold.set()
        return first, waited, await which.of("b")

    first, waited, later = asyncio.run(run())
    assert first == [set(), set()]
    assert waited < 2.5
    assert later == {"30003"}
    assert len(langbot.requests) == 1


def said(text, *, sender, kind="group"):
    data = {"bot_uuid": "b", "sender": {"id": sender}, "message": [{"type": "Plain", "text": text}]}
    group = {"group": {"id": 20002}} if kind == "group" else {}
    return {"uuid": "u", "event_type": f"bot.{kind}_message", "data": data | group}


def hear(url, *events):
    hearing = Hearing(Settings(_env_file=None, langbot_api_base_url=url))

    async def run():
        return [await hearing.langbot(event) for event in events]

    return [each.code if isinstance(each, Silence) else "answered" for each in asyncio.run(run())]


def test_the_bot_does_not_answer_itself(langbot):
    """Its name is in its own reply: without an @, it went on until the rate limit."""
    langbot.default = known(30003)
    heard = hear(
        langbot.url,
        said("hello", sender=7),
        said("mika, hello", sender=7),
        said("mika said: mika, hello", sender=30003),
        said("hello", sender=30003, kind="person"),
    )
    assert heard == ["not_called", "answered", "own_message", "own_message"]
    assert len(langbot.requests) == 1


@pytest.mark.parametrize("answer", [Answer(401, {}), Answer(200, b"<html>")], ids=["refused", "no JSON"])
def test_who_does_not_know_its_account_answers(langbot, answer):
    langbot.default = answer
    assert hear(langbot.url, said("mika, hi", sender=7), said("hi", sender=7, kind="person")) == ["answered"] * 2
