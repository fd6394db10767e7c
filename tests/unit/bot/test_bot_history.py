from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from dataclasses import replace

import pytest

from src.history.base import (
    REMEMBERED_CHARACTERS,
    REMEMBERED_TURNS,
    RETENTION_DAYS,
    HistoryError,
    SendMark,
    conversation_key,
)
from src.history.sqlite import SqliteHistory
from src.messages import Conversation, FinishedTurn, Turn

ALONE = Conversation("1000112345", "")
GROUP = Conversation("1000112345", "20002")
NOW = time.time()


def finished(number, conversation=ALONE, created_at=None):
    return FinishedTurn(conversation, f"m{number}", f"r{number}", NOW + number if created_at is None else created_at)


def with_history(path, work):
    async def run():
        history = SqliteHistory(path)
        try:
            return await work(history)
        finally:
            await history.close()

    return asyncio.run(run())


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".mika" / "data" / "history.sqlite3"


def test_saving_twice_is_saving_once(path):
    async def work(history):
        await history.save("w1", finished(1))
        await history.save("w1", finished(1))
        await asyncio.gather(*(history.save("w2", finished(2)) for _ in range(5)))
        return await history.recent(ALONE, before="w3")

    assert with_history(path, work) == [Turn("m1", "r1"), Turn("m2", "r2")]


def test_the_reply_of_a_later_run_replaces_the_first(path):
    async def work(history):
        await history.save("w1", finished(1))
        await history.save("w1", replace(finished(1), reply="better"))
        return await history.recent(ALONE, before="")

    assert with_history(path, work) == [Turn("m1", "better")]


def test_the_last_turns_of_one_conversation_oldest_first(path):
    async def work(history):
        for number in range(REMEMBERED_TURNS + 5):
            await history.save(f"w{number}", finished(number))
        await history.save("group", finished(100, GROUP))
        last = REMEMBERED_TURNS + 4
        return await history.recent(ALONE, before=f"w{last}"), await history.recent(GROUP, before="")

    alone, group = with_history(path, work)
    assert [turn.message for turn in alone] == [f"m{number}" for number in range(4, REMEMBERED_TURNS + 4)]
    assert group == [Turn("m100", "r100")]


def test_it_is_still_there_after_a_restart_and_long_texts_are_cut(path):
    with_history(path, lambda history: history.save("w", FinishedTurn(ALONE, "x" * 9000, "好" * 9000, NOW)))
    [turn] = with_history(path, lambda history: history.recent(ALONE, before=""))
    assert (len(turn.message), len(turn.reply)) == (REMEMBERED_CHARACTERS, REMEMBERED_CHARACTERS)


def test_old_turns_are_deleted_at_the_next_start(path):
    old = NOW - (RETENTION_DAYS + 1) * 86400
    with_history(path, lambda history: history.save("old", finished(1, created_at=old)))
    with_history(path, lambda history: history.ping())
    assert with_history(path, lambda history: history.recent(ALONE, before="")) == []


def test_no_account_number_is_stored_and_the_folder_ignores_itself(path):
    with_history(path, lambda history: history.save("w", finished(1, GROUP)))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        stored = str(connection.execute("SELECT * FROM turns").fetchall())
    assert "10001" not in stored
    assert "20002" not in stored
    assert conversation_key(GROUP) in stored
    assert (path.parents[1] / ".gitignore").read_text(encoding="utf-8") == "*\n"


def test_a_file_that_is_no_database(path):
    path.parent.mkdir(parents=True)
    path.write_text("hello " * 1000, encoding="utf-8")
    with pytest.raises(HistoryError, match=r"history\.sqlite3"):
        with_history(path, lambda history: history.ping())


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "data").write_text("", encoding="utf-8")
    with pytest.raises(HistoryError, match="cannot be used"):
        with_history(tmp_path / "data" / "history.sqlite3", lambda history: history.ping())


def test_of_many_who_want_to_send_only_one_may(path):
    async def work(history):
        others = [SqliteHistory(path) for _ in range(4)]
        try:
            return await asyncio.gather(
                *(store.mark_send("w1", 0, SendMark.OPEN) for store in (history, *others) for _ in range(5))
            )
        finally:
            for other in others:
                await other.close()

    found = with_history(path, work)
    assert (found.count(None), found.count(SendMark.OPEN)) == (1, 24)


def test_a_mark_stays_until_it_is_changed_or_removed(path):
    async def work(history):
        found = [await history.mark_send("w1", 0, SendMark.OPEN), await history.mark_send("w1", 1, SendMark.OPEN)]
        await history.change_mark("w1", 0, SendMark.SENT)
        await history.remove_mark("w1", 1)
        return [*found, *[await history.mark_send("w1", part, SendMark.LEFT) for part in (0, 1, 1)]]

    assert with_history(path, work) == [None, None, SendMark.SENT, None, SendMark.LEFT]


def test_old_marks_are_deleted(path):
    with_history(path, lambda history: history.mark_send("w1", 0, SendMark.SENT))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE sends SET created_at = created_at - ?", ((RETENTION_DAYS + 1) * 86400,))
    assert with_history(path, lambda history: history.mark_send("w1", 0, SendMark.OPEN)) is None
