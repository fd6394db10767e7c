"""Who may send what, when several want to: the workflow's attempts, its last call, and the API."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from datetime import timedelta

import pytest

from src.chat_text import CANNED_REPLY
from src.config import Settings
from src.history.base import HistoryError
from src.history.keys import KeyFile
from src.history.sqlite import SqliteHistory
from src.langbot import send
from src.messages import OutgoingReply, ReplyTarget, Sent
from src.send_errors import MaybeSentError, NotSentError
from src.sending import Sender
from tests.kit.langbot_api import LangBotApi
from tests.kit.machine import free_port
from tests.kit.stub_http import Answer, StubServer

TARGET = ReplyTarget("bot-1", "person", "10001")
REPLY = OutgoingReply(TARGET, "hello", "w1")
LONG = OutgoingReply(TARGET, "\n\n".join(letter * 80 for letter in "abc"), "w1")


@pytest.fixture
def langbot(tmp_path):
    with free_port() as port, LangBotApi(port, tmp_path / "chat.jsonl") as langbot:
        yield langbot


@pytest.fixture
def with_sender(tmp_path, langbot):
    def call(work):
        async def run():
            history = SqliteHistory(tmp_path / "history.sqlite3", KeyFile(tmp_path / "key"), timedelta(days=90))
            settings = Settings(langbot_api_base_url=langbot.url, langbot_max_chars=100)
            try:
                return await work(Sender(settings, history))
            finally:
                await history.close()

        return asyncio.run(run())

    return call


def test_a_later_run_of_the_same_message_sends_nothing(langbot, with_sender):
    assert with_sender(lambda sender: sender.deliver(REPLY, 10)) == Sent("sent")
    assert with_sender(lambda sender: sender.deliver(REPLY, 10)) == Sent("sent")
    assert langbot.texts() == ["hello"]


def test_a_bots_id_never_leaves_its_place_in_the_path(langbot, with_sender):
    reply = OutgoingReply(ReplyTarget("..", "person", "10001"), "hello", "w1")
    sent = with_sender(lambda sender: sender.deliver(reply, 10))
    assert sent.delivery == "refused"
    assert "bot's id" in sent.detail


def test_an_answer_of_brackets_is_not_langbots():
    with StubServer() as stub:
        stub.default = Answer(200, b"[" * 200_000)
        with pytest.raises(MaybeSentError) as caught:
            asyncio.run(send(Settings(_env_file=None, langbot_api_base_url=stub.url), TARGET, "hello"))
    assert "not LangBot's own answer" in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "delivered", "outcomes"),
    [
        ("slow", ["hello"], ["sent", "sent"]),
        ("late", ["hello"], ["maybe_sent", "sent"]),  # nobody waits that long for another attempt
        ("401", [], ["refused", "refused"]),
    ],
)
def test_two_attempts_at_once_send_it_once(langbot, with_sender, answer, delivered, outcomes):
    """As if a worker was only slow when another one took its task."""
    langbot.default = answer

    async def work(sender):
        return await asyncio.gather(sender.deliver(REPLY, 10), sender.deliver(REPLY, 10))

    assert sorted(sent.delivery for sent in with_sender(work)) == outcomes
    assert langbot.texts() == delivered


def test_what_was_left_to_the_pipeline_is_not_sent(langbot, with_sender):
    async def work(sender):
        return await sender.leave("w1", 5), await sender.leave("w1", 5), await sender.deliver(LONG, 10)

    first, second, sent = with_sender(work)
    assert first
    assert second
    assert sent.delivery == "none"
    assert "pipeline" in sent.detail
    assert langbot.texts() == []


def test_what_was_sent_is_not_left_to_the_pipeline(langbot, with_sender):
    with_sender(lambda sender: sender.deliver(REPLY, 10))
    assert not with_sender(lambda sender: sender.leave("w1", 5))
    assert with_sender(lambda sender: sender.apologize(TARGET, "w1", 5))
    assert langbot.texts() == ["hello"]


@pytest.mark.parametrize(("answer", "stands"), [("ok", True), ("500!", True), ("401", False), ("503", False)])
def test_an_apology_is_tried_once_and_takes_the_place_of_the_reply(langbot, with_sender, answer, stands):
    langbot.default = answer

    async def work(sender):
        said = [await sender.apologize(TARGET, "w1", 5) for _ in range(2)]
        return said, await sender.deliver(REPLY, 10)

    said, sent = with_sender(work)
    assert said == [stands, stands]
    assert sent.delivery == "none"
    assert len(langbot.requests) == 1
    assert langbot.texts() == ([CANNED_REPLY] if stands else [])


def test_an_apology_ends_in_time(langbot, with_sender):
    langbot.default = "hang"
    began = time.monotonic()
    assert with_sender(lambda sender: sender.apologize(TARGET, "w1", 3))  # perhaps it is there
    assert time.monotonic() - began < 6.5, "of its own the client would wait for 8 s"
    assert not with_sender(lambda sender: sender.apologize(TARGET, "w2", 2))  # too late to begin one
    assert len(langbot.requests) == 1
    assert with_sender(lambda sender: sender.leave("w2", 2))


def test_a_history_that_is_locked_is_not_waited_for(tmp_path, langbot, with_sender):
    with_sender(lambda sender: sender.leave("w0", 5))
    with contextlib.closing(sqlite3.connect(tmp_path / "history.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        async def work(sender):
            began = time.monotonic()
            with pytest.raises(HistoryError):
                await sender.leave("w1", 1)
            with pytest.raises(HistoryError):
                await sender.apologize(TARGET, "w1", 3)
            return time.monotonic() - began

        assert with_sender(work) < 4.5
    assert langbot.requests == []


def test_after_the_last_call_nothing_is_sent(langbot, with_sender):
    langbot.plan.extend(["ok", "503"])

    async def work(sender):
        with pytest.raises(NotSentError):
            await sender.deliver(LONG, 60)
        return await sender.close(LONG), await sender.deliver(LONG, 60)

    assert [sent.delivery for sent in with_sender(work)] == ["refused", "refused"]
    assert langbot.texts() == ["a" * 80]


def test_every_attempt_sends_a_part_however_short_it_is(langbot, with_sender):
    async def work(sender):
        for _ in range(2):
            with pytest.raises(NotSentError) as caught:
                await sender.deliver(LONG, 1)
            assert caught.value.retryable
        return await sender.deliver(LONG, 1)

    assert with_sender(work) == Sent("sent")
    assert langbot.texts() == ["a" * 80, "b" * 80, "c" * 80]
