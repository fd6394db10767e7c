from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from src.config import Settings
from src.history.base import (
    REMEMBERED_CHARACTERS,
    REMEMBERED_TURNS,
    HistoryError,
    SendMark,
)
from src.history.factory import make_history
from src.history.keys import KeyFile, earlier_name
from src.history.sqlite import SqliteHistory
from src.messages import Conversation, FinishedTurn, Turn

ALONE = Conversation("1000112345", "")
GROUP = Conversation("1000112345", "20002")
NOW = time.time()


def finished(number, conversation=ALONE, created_at=None):
    return FinishedTurn(conversation, f"m{number}", f"r{number}", NOW + number if created_at is None else created_at)


def opened(path, key=None, days=90):
    return SqliteHistory(path, KeyFile(path.with_suffix(".key"), key), timedelta(days=days))


def with_history(path, work, **options):
    async def run():
        history = opened(path, **options)
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
    old = NOW - (91) * 86400
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
    for conversation in (ALONE, GROUP):  # what anybody can compute
        assert earlier_name(conversation) not in stored
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
        others = [opened(path) for _ in range(4)]
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
        connection.execute("UPDATE sends SET created_at = created_at - ?", ((91) * 86400,))
    assert with_history(path, lambda history: history.mark_send("w1", 0, SendMark.OPEN)) is None


def test_a_key_is_made_once_for_whoever_comes_first(path):
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: KeyFile(path.with_suffix(".key")).names().conversation(ALONE), range(64)))
    assert len(set(names)) == 1
    assert [file.name for file in path.parent.iterdir()] == ["history.key"]
    if os.name == "posix":
        assert path.with_suffix(".key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"abc", b"zz" * 32, b"\xff" * 64])
def test_a_damaged_key_is_an_error_and_not_replaced(path, content):
    with_history(path, lambda history: history.ping())
    path.with_suffix(".key").write_bytes(content)
    with pytest.raises(HistoryError, match=r"history\.key"):
        with_history(path, lambda history: history.recent(ALONE, before=""))
    assert path.with_suffix(".key").read_bytes() == content


def test_turns_from_before_there_was_a_key_are_found_and_renamed(path):
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as old, old:
        old.execute(
            "CREATE TABLE turns (workflow_id TEXT PRIMARY KEY, conversation TEXT NOT NULL, message TEXT NOT NULL,"
            " reply TEXT NOT NULL, created_at REAL NOT NULL)"
        )
        for number, conversation in enumerate((ALONE, GROUP)):
            row = (f"w{number}", earlier_name(conversation), f"m{number}", "r", NOW)
            old.execute("INSERT INTO turns VALUES (?, ?, ?, ?, ?)", row)
    assert with_history(path, lambda history: history.recent(ALONE, before="")) == [Turn("m0", "r")]
    with closing(sqlite3.connect(path)) as connection:
        names = {name for (name,) in connection.execute("SELECT conversation FROM turns")}
    assert earlier_name(ALONE) not in names
    assert earlier_name(GROUP) in names  # nobody has asked for it yet
    assert with_history(path, lambda history: history.forget(ALONE.user_id, GROUP.group_id)) == 1
    assert with_history(path, lambda history: history.recent(ALONE, before="")) == [Turn("m0", "r")]


def test_a_user_is_forgotten_everywhere_or_in_one_place(path):
    async def work(history):
        for number, (user, group) in enumerate([("1", ""), ("1", "a"), ("1", "b"), ("2", ""), ("2", "a")]):
            await history.save(f"w{number}", finished(number, Conversation(user, group)))
        shown = [(turn.message, turn.is_private) for turn in await history.of_user("1", None)]
        only_a = [turn.message for turn in await history.of_user("1", "a")]
        counts = [await history.forget("1", "a"), await history.forget("1", ""), await history.forget("1", None)]
        left = [turn.message for user in "12" for turn in await history.of_user(user, None)]
        return shown, only_a, [*counts, await history.forget("1", None), await history.forget("-", None)], left

    shown, only_a, counts, left = with_history(path, work)
    assert shown == [("m0", True), ("m1", False), ("m2", False)]
    assert only_a == ["m1"]
    assert counts == [1, 1, 1, 0, 0]
    assert left == ["m3", "m4"]


def test_what_is_forgotten_is_in_no_file(path):
    secret = "the-secret-text"
    with_history(path, lambda history: history.save("w", FinishedTurn(ALONE, secret, "r", NOW)))
    with closing(sqlite3.connect(path)) as other:  # an open connection keeps the write-ahead log
        other.execute("SELECT 1 FROM turns").fetchone()
        assert any(secret.encode() in file.read_bytes() for file in path.parent.iterdir())
        with_history(path, lambda history: history.forget(ALONE.user_id, None))
        assert not any(secret.encode() in file.read_bytes() for file in path.parent.iterdir())


def test_another_key_finds_nothing_and_says_so(path):
    key, other = "k" * 16, "o" * 16
    with_history(path, lambda history: history.save("w1", finished(1)), key=key)
    assert with_history(path, lambda history: history.recent(ALONE, before=""), key=other) == []
    for work in (lambda history: history.of_user("1", None), lambda history: history.forget("1", None)):
        with pytest.raises(HistoryError, match="HISTORY_KEY"):
            with_history(path, work, key=other)
    with_history(path, lambda history: history.save("w2", finished(2)), key=other)
    assert with_history(path, lambda history: history.forget(ALONE.user_id, None), key=other) == 1


def test_the_retention_can_be_set(path):
    with_history(path, lambda history: history.save("w1", finished(1, created_at=NOW - 3 * 86400)))
    assert with_history(path, lambda history: history.recent(ALONE, before=""), days=2) == []
    assert with_history(path, lambda history: history.of_user(ALONE.user_id, None)) == []


@pytest.mark.parametrize("patience", [600, 604800])
def test_a_mark_outlives_its_reply(path, patience):
    """Who finds no mark sends."""
    settings = Settings(
        _env_file=None, mika_history_file=path, history_retention_days=1e-9, langbot_send_patience=patience
    )

    async def mark():
        history = make_history(settings)
        try:
            return await history.mark_send("w1", 0, SendMark.SENT)
        finally:
            await history.close()

    assert asyncio.run(mark()) is None
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE sends SET created_at = ?", (time.time() - patience - 3600,))
    assert asyncio.run(mark()) == SendMark.SENT
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE sends SET created_at = ?", (time.time() - patience - 2 * 86400,))
    assert asyncio.run(mark()) is None  # nobody needs it any more
