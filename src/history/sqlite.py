"""The default history: an SQLite file, used from a separate thread so that a slow disk never blocks the loop."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from src.history.base import (
    REMEMBERED_CHARACTERS,
    REMEMBERED_TURNS,
    RETENTION_DAYS,
    HistoryError,
    SendMark,
    conversation_key,
)
from src.messages import Conversation, FinishedTurn, Turn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS turns (
    workflow_id TEXT PRIMARY KEY,
    conversation TEXT NOT NULL,
    message TEXT NOT NULL,
    reply TEXT NOT NULL,
    created_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS turns_by_conversation ON turns (conversation, created_at DESC);
CREATE INDEX IF NOT EXISTS turns_by_age ON turns (created_at);
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

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="history")

    @property
    def facts(self) -> dict[str, str]:
        return {"kind": "sqlite", "file": str(self._path.absolute())}

    async def recent(self, conversation: Conversation, *, before: str) -> list[Turn]:
        rows = await self._run(
            lambda db: db.execute(
                "SELECT substr(message, 1, ?), substr(reply, 1, ?) FROM turns"
                " WHERE conversation = ? AND workflow_id <> ? ORDER BY created_at DESC LIMIT ?",
                (
                    REMEMBERED_CHARACTERS,
                    REMEMBERED_CHARACTERS,
                    conversation_key(conversation),
                    before,
                    REMEMBERED_TURNS,
                ),
            ).fetchall()
        )
        return [Turn(message, reply) for message, reply in reversed(rows)]

    async def save(self, workflow_id: str, turn: FinishedTurn) -> None:
        row = (workflow_id, conversation_key(turn.conversation), turn.message, turn.reply, turn.created_at)
        await self._run(
            lambda db: db.execute(
                "INSERT INTO turns (workflow_id, conversation, message, reply, created_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (workflow_id) DO UPDATE SET reply = excluded.reply",
                row,
            )
        )

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
                found = db.execute(
                    "SELECT mark FROM sends WHERE workflow_id = ? AND part = ?", (workflow_id, part)
                ).fetchone()
                if found:  # or else it has just been removed
                    return SendMark(found[0])

        return await self._run(work)

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
        return f"SQLite file {self._path}"

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
            return work(self._connection)
        except (sqlite3.Error, OSError) as error:
            raise HistoryError(f"the history file {self._path} cannot be used: {error}") from error


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
        connection.executescript(_SCHEMA)
        with closing(connection.cursor()) as cursor:
            oldest = time.time() - RETENTION_DAYS * 86400
            cursor.execute("DELETE FROM turns WHERE created_at < ?", (oldest,))
            cursor.execute("DELETE FROM sends WHERE created_at < ?", (oldest,))
    except BaseException:
        connection.close()
        raise
    return connection
