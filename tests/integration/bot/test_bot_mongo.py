"""History in a server that speaks MongoDB's protocol."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import uuid
from datetime import timedelta
from pathlib import Path

import pytest

from src.history.base import HistoryError, SendMark
from src.history.keys import KeyFile, earlier_name
from src.history.mongo import MongoHistory
from src.messages import Conversation, FinishedTurn, Turn
from tests.kit.bot_processes import BotProcesses
from tests.kit.machine import free_port

pytestmark = pytest.mark.xdist_group("mongo")
KEY = KeyFile(Path("none"), "a key of some length")
ALONE = Conversation("1000112345", "")


@pytest.fixture(scope="module")
def url():
    if given := os.environ.get("MIKA_TEST_MONGODB_URL"):
        yield given
        return
    from tests.kit import mongo_server

    mongo_server.need_mongo()
    with mongo_server.mongo_server() as started:
        yield started


def with_history(url, work):
    async def run():
        history = MongoHistory(url, f"test_{uuid.uuid4().hex[:8]}", KEY, timedelta(days=90))
        try:
            return await work(history)
        finally:
            with contextlib.suppress(Exception):
                await history._client.drop_database(history._database)
            await history.close()

    return asyncio.run(run())


def finished(number, reply=None):
    return FinishedTurn(ALONE, f"m{number}", reply or f"r{number}", time.time() + number)


def test_saving_twice_is_saving_once(url):
    async def work(history):
        await history.save("w1", finished(1))
        await history.save("w1", finished(1))
        await asyncio.gather(*(history.save("w2", finished(2)) for _ in range(5)))
        await history.save("w2", finished(2, "better"))
        stored = await history._turns.find().to_list()
        return (
            stored,
            await history.recent(ALONE, before="w2"),
            await history.recent(ALONE, before=""),
            await history.ping(),
        )

    stored, before, everything, ping = with_history(url, work)
    assert before == [Turn("m1", "r1")]
    assert everything == [Turn("m1", "r1"), Turn("m2", "better")]
    assert len(stored) == 2
    assert stored[0]["conversation"] == KEY.names().conversation(ALONE)
    assert "10001" not in str(stored)
    assert ping.startswith("MongoDB")


def test_the_indexes_are_made(url):
    asked = []

    async def work(history):
        create_index = history._turns.create_index

        async def watched(keys, **options):
            asked.append((keys, options))
            return await create_index(keys, **options)

        history._turns.create_index = watched
        await history.recent(ALONE, before="")
        await history.recent(ALONE, before="")
        return await history._turns.index_information()

    indexes = with_history(url, work)
    assert [("conversation", 1), ("created_at", -1)] in [list(index["key"]) for index in indexes.values()]
    # FerretDB refuses the expiring one, so what counts is that it was asked for, once.
    assert asked[2:] == [("expires_at", {"expireAfterSeconds": 0})]


def test_of_many_who_want_to_send_only_one_may(url):
    async def work(history):
        found = await asyncio.gather(*(history.mark_send("w1", 0, SendMark.OPEN) for _ in range(10)))
        await history.change_mark("w1", 0, SendMark.SENT)
        changed = await history.mark_send("w1", 0, SendMark.OPEN)
        await history.remove_mark("w1", 0)
        return found, changed, await history.mark_send("w1", 0, SendMark.OPEN)

    found, changed, again = with_history(url, work)
    assert (found.count(None), found.count(SendMark.OPEN)) == (1, 9)
    assert (changed, again) == (SendMark.SENT, None)


def test_a_message_through_the_whole_bot(url, tmp_path, temporal):
    database = f"test_{uuid.uuid4().hex[:8]}"
    with BotProcesses(tmp_path, temporal.port, MONGODB_URL=url, MONGODB_DATABASE=database) as bot:
        bot.start_api()
        bot.start_worker()
        assert "remember: 0" in bot.post("one").json()["response"]
        assert "remember: 1" in bot.post("two").json()["response"]
        store = bot.http.get("/readyz").json()["history"]
        assert (store["state"], store["kind"], store["database"]) == ("ready", "mongodb", database)


def test_a_server_that_is_not_there(tmp_path):
    # In a process of its own: PyMongo leaves a socket to the garbage collector when it is closed while it connects.
    with (
        free_port() as temporal,
        free_port() as mongo,
        BotProcesses(tmp_path, temporal, MONGODB_URL=f"mongodb://user:pass-word@127.0.0.1:{mongo}") as bot,
    ):
        api = bot.start_api()
        ready = bot.http.get("/readyz")
        assert ready.status_code == 503
        store = ready.json()["history"]
        assert (store["state"], store["error"], store["address"]) == (
            "unavailable",
            "unreachable",
            f"127.0.0.1:{mongo}",
        )
        for text in (ready.text, api.output()):
            assert "pass-word" not in text


def test_a_url_that_is_none():
    with pytest.raises(HistoryError, match="MONGODB_URL") as caught:
        asyncio.run(
            asyncio.sleep(0, MongoHistory("mongodb://user:pass-word@host:notaport", "d", KEY, timedelta(days=90)))
        )
    assert "pass-word" not in str(caught.value)


def test_turns_from_before_there_was_a_key_are_found_renamed_and_forgotten(url):
    group = Conversation(ALONE.user_id, "20002")

    async def work(history):
        for number, conversation in enumerate((ALONE, group)):
            await history.save(f"w{number}", FinishedTurn(conversation, f"m{number}", "r", time.time()))
            old = {"$set": {"conversation": earlier_name(conversation)}, "$unset": {"user": 1}}
            await history._turns.update_one({"_id": f"w{number}"}, old)
        found = [await history.recent(conversation, before="") for conversation in (ALONE, group)]
        stored = str(await history._turns.find().to_list())
        shown = [(turn.message, turn.is_private) for turn in await history.of_user(ALONE.user_id, None)]
        counts = [await history.forget(ALONE.user_id, "20002"), await history.forget(ALONE.user_id, None)]
        return found, stored, shown, counts, await history.of_user(ALONE.user_id, None)

    found, stored, shown, counts, left = with_history(url, work)
    assert found == [[Turn("m0", "r")], [Turn("m1", "r")]]
    assert earlier_name(ALONE) not in stored
    assert sorted(shown) == [("m0", True), ("m1", False)]
    assert (counts, left) == ([1, 1], [])


def test_another_key_finds_nothing_and_says_so(url):
    async def work(history):
        await history.save("w1", finished(1))
        history._key = KeyFile(Path("none"), "another key of some length")
        assert await history.recent(ALONE, before="") == []
        with pytest.raises(HistoryError, match="HISTORY_KEY"):
            await history.forget(ALONE.user_id, None)
        history._is_key_stored = False  # as in the worker's next process
        await history.save("w2", finished(2))
        return await history.forget(ALONE.user_id, None)

    assert with_history(url, work) == 1
