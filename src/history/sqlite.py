"""The default history: an SQLite file, used from a separate thread so that a slow disk never blocks the loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import structlog
from mika.diagnosis.wording import _

from src.history.base import (
    OTHER_KEY,
    REMEMBERED_CHARACTERS,
    REMEMBERED_TURNS,
    HistoryError,
    SendMark,
    StoredTurn,
)
from src.history.keys import KeyFile, Names, earlier_name
from src.messages import Conversation, FinishedTurn, Turn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = structlog.get_logger("mika.history")

T = TypeVar("T")

_CLEAN_EVERY = 3600  # s
_NOBODY = "-"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS turns (
    workflow_id TEXT PRIMARY KEY,
    conversation TEXT NOT NULL,
    user TEXT NOT NULL DEFAULT '',
    message TEXT NOT NULL,
    reply TEXT NOT NULL,
    created_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS keys (name TEXT PRIMARY KEY);
CREATE INDEX IF NOT EXISTS turns_by_conversation ON turns (conversation, created_at DESC);
CREATE INDEX IF NOT EXISTS turns_by_age ON turns (created_at);
CREATE INDEX IF NOT EXISTS turns_by_user ON turns (user, created_at DESC);
CREATE TABLE IF NOT EXISTS sends (
    workflow_id TEXT NOT NULL,
    part INTEGER NOT NULL,
    mark TEXT NOT NULL,
    created_at REAL NOT NULL,
    PRIMARY KEY (workflow_id, part)
) WITHOUT ROWID;
"""


class SqliteHistory:
    """Opened on first use, so that its folder need not exist when it is made."""

    def __init__(self, path: Path, key: KeyFile, retention: timedelta, marks_at_least: timedelta = timedelta()) -> None:
        """`retention`: of turns, and of marks, which are kept for `marks_at_least`."""
        self._path = path
        self._key = key
        self._retention = retention.total_seconds()
        self._keeps_marks = max(retention, marks_at_least).total_seconds()
        self._connection: sqlite3.Connection | None = None
        self._cleaned_at = float("-inf")
        self._is_key_stored = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="history")

    @property
    def facts(self) -> dict[str, str]:
        return {"kind": "sqlite", "file": str(self._path.absolute())}

    async def recent(self, conversation: Conversation, *, before: str) -> list[Turn]:
        def work(db: sqlite3.Connection) -> list[tuple[str, str]]:
            names = self._key.names()
            _rename(db, names, conversation)
            return db.execute(
                "SELECT substr(message, 1, ?), substr(reply, 1, ?) FROM turns"
                " WHERE conversation = ? AND workflow_id <> ? AND created_at > ? ORDER BY created_at DESC LIMIT ?",
                (
                    REMEMBERED_CHARACTERS,
                    REMEMBERED_CHARACTERS,
                    names.conversation(conversation),
                    before,
                    time.time() - self._retention,
                    REMEMBERED_TURNS,
                ),
            ).fetchall()

        return [Turn(message, reply) for message, reply in reversed(await self._run(work))]

    async def save(self, workflow_id: str, turn: FinishedTurn) -> None:
        def work(db: sqlite3.Connection) -> None:
            names, conversation = self._key.names(), turn.conversation
            self._store_key(db, names)
            self._delete_old(db)
            name, user = names.conversation(conversation), names.user(conversation.user_id)
            db.execute(
                "INSERT INTO turns (workflow_id, conversation, user, message, reply, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (workflow_id) DO UPDATE SET reply = excluded.reply",
                (workflow_id, name, user, turn.message, turn.reply, turn.created_at),
            )

        await self._run(work)

    async def of_user(self, user_id: str, group_id: str | None) -> list[StoredTurn]:
        def work(db: sqlite3.Connection) -> list[tuple[str, str, float, str]]:
            return db.execute(
                "SELECT message, reply, created_at, conversation FROM turns WHERE user = ? OR conversation = ?"
                " ORDER BY created_at",
                self._selection(db, user_id, group_id),
            ).fetchall()

        private = self._key.names().conversation(Conversation(user_id, ""))
        return [
            StoredTurn(message, reply, at, is_private=name == private)
            for message, reply, at, name in await self._run(work)
        ]

    async def forget(self, user_id: str, group_id: str | None) -> int:
        def work(db: sqlite3.Connection) -> int:
            names = self._selection(db, user_id, group_id)
            db.execute("PRAGMA secure_delete = ON")  # overwritten, not only free for other rows
            count = db.execute("DELETE FROM turns WHERE user = ? OR conversation = ?", names).rowcount
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return count

        return await self._run(work)

    def _selection(self, db: sqlite3.Connection, user_id: str, group_id: str | None) -> tuple[str, str]:
        """The names of user and conversation, one of which is `_NOBODY`.

        Raises `HistoryError` if the turns were written with another key.
        """
        names = self._key.names()
        stored = db.execute("SELECT name FROM keys").fetchone()
        if stored and stored[0] != names.of_key():
            raise HistoryError(OTHER_KEY)
        _rename(db, names, Conversation(user_id, group_id or ""))
        if group_id is None:
            return names.user(user_id), _NOBODY
        return _NOBODY, names.conversation(Conversation(user_id, group_id))

    def _store_key(self, db: sqlite3.Connection, names: Names) -> None:
        """Once. Whoever writes decides which key is the right one."""
        if self._is_key_stored:
            return
        found = db.execute("SELECT name FROM keys").fetchone()
        if found and found[0] != names.of_key():
            log.warning("history_key_changed", hint="earlier conversations are not found any more")
            db.execute("DELETE FROM keys")
        db.execute("INSERT OR IGNORE INTO keys (name) VALUES (?)", (names.of_key(),))
        self._is_key_stored = True

    def _delete_old(self, db: sqlite3.Connection) -> None:
        """Once an hour: a worker may run for months."""
        if time.monotonic() - self._cleaned_at > _CLEAN_EVERY:
            now = time.time()
            db.execute("DELETE FROM turns WHERE created_at < ?", (now - self._retention,))
            db.execute("DELETE FROM sends WHERE created_at < ?", (now - self._keeps_marks,))
            self._cleaned_at = time.monotonic()

    async def mark_send(self, workflow_id: str, part: int, mark: SendMark) -> SendMark | None:
        def work(db: sqlite3.Connection) -> SendMark | None:
            while True:
                inserted = db.execute(
                    "INSERT INTO sends (workflow_id, part, mark, created_at) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (workflow_id, part) DO NOTHING",
                    (workflow_id, part, mark, time.time()),
                )
                if inserted.rowcount:
                    return None
                if (found := _find_mark(db, workflow_id, part)) is not None:  # or else it has just been removed
                    return found

        return await self._run(work)

    async def find_mark(self, workflow_id: str, part: int) -> SendMark | None:
        return await self._run(lambda db: _find_mark(db, workflow_id, part))

    async def change_mark(self, workflow_id: str, part: int, mark: SendMark) -> None:
        await self._run(
            lambda db: db.execute(
                "UPDATE sends SET mark = ? WHERE workflow_id = ? AND part = ?", (mark, workflow_id, part)
            )
        )

    async def remove_mark(self, workflow_id: str, part: int) -> None:
        await self._run(
            lambda db: db.execute("DELETE FROM sends WHERE workflow_id = ? AND part = ?", (workflow_id, part))
        )

    async def ping(self) -> str:
        await self._run(lambda db: db.execute("SELECT 1 FROM turns LIMIT 1").fetchone())
        return _("SQLite file {file}", file=self._path)

    async def close(self) -> None:
        if self._connection is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._in_thread, work)

    def _in_thread(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = _open(self._path)
                self._delete_old(self._connection)
            return work(self._connection)
        except (sqlite3.Error, OSError) as error:
            text = _("the history file {file} cannot be used: {error}", file=self._path, error=error)
            raise HistoryError(text) from error


def _find_mark(db: sqlite3.Connection, workflow_id: str, part: int) -> SendMark | None:
    found = db.execute("SELECT mark FROM sends WHERE workflow_id = ? AND part = ?", (workflow_id, part)).fetchone()
    return SendMark(found[0]) if found else None


def _rename(db: sqlite3.Connection, names: Names, conversation: Conversation) -> None:
    """Give the turns that were stored before there was a key the name that they would have now."""
    earlier = earlier_name(conversation)
    if db.execute("SELECT 1 FROM turns WHERE conversation = ? LIMIT 1", (earlier,)).fetchone():
        values = (names.conversation(conversation), names.user(conversation.user_id), earlier)
        db.execute("UPDATE turns SET conversation = ?, user = ? WHERE conversation = ?", values)


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.parent.parent.name == ".mika":  # mika's folder must never be committed
        ignore = path.parent.parent / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # conversations are private
    # Autocommit: every statement here is a transaction. No thread check: the executor has only one thread.
    connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        # With WAL, the API can read while the worker writes. With NORMAL, nothing is lost when a process is killed.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        columns = [column[1] for column in connection.execute("PRAGMA table_info(turns)")]
        if columns and "user" not in columns:
            with contextlib.suppress(sqlite3.OperationalError):  # another process has just done it
                connection.execute("ALTER TABLE turns ADD COLUMN user TEXT NOT NULL DEFAULT ''")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection
