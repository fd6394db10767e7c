"""The database that a server did not finish, and those that it did."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest
from mika.backends.database import discard_unfinished


def make(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


TABLE, ROW = "CREATE TABLE namespaces (id TEXT)", "INSERT INTO namespaces VALUES ('x')"


@pytest.mark.parametrize("statements", [(), ("CREATE TABLE executions (id TEXT)",), (TABLE,)])
def test_one_in_which_nothing_was_stored_is_deleted(tmp_path, statements):
    database = tmp_path / "temporal.db"
    database.touch()
    make(database, *statements)
    for part in ("-wal", "-shm"):
        (tmp_path / f"temporal.db{part}").touch()
    (tmp_path / "temporal.db.lock").touch()
    discard_unfinished(database)
    assert [path.name for path in tmp_path.iterdir()] == ["temporal.db.lock"]


def test_what_was_stored_stays(tmp_path):
    database = tmp_path / "temporal.db"
    make(database, TABLE, ROW)
    discard_unfinished(database)
    assert database.exists()


def test_what_is_only_in_the_log_of_a_killed_server_stays(tmp_path):
    """SQLite moves it into the file later."""
    with contextlib.closing(sqlite3.connect(tmp_path / "live.db")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(TABLE)
        connection.execute(ROW)
        connection.commit()
        for part in ("", "-wal"):
            shutil.copy(tmp_path / f"live.db{part}", tmp_path / f"temporal.db{part}")
    discard_unfinished(tmp_path / "temporal.db")
    make(tmp_path / "temporal.db", ROW)


@pytest.mark.parametrize("content", [b"no database" * 1000, b"x" * 200_000])
def test_what_is_no_database_is_not_touched(tmp_path, content):
    database = tmp_path / "temporal.db"
    database.write_bytes(content)
    discard_unfinished(database)
    assert database.read_bytes() == content


def test_there_is_none_yet(tmp_path):
    discard_unfinished(tmp_path / "temporal.db")
    assert not list(tmp_path.iterdir())
