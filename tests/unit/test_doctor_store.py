"""What the doctor says of the store of conversations in a file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

import pytest
from mika.doctor.checks import history

from tests.kit.doctor import examine
from tests.kit.machine import posix_only
from tests.kit.project import bots_rules


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    (tmp_path / ".mika" / "data").mkdir(parents=True)
    with contextlib.closing(sqlite3.connect(tmp_path / ".mika" / "data" / "history.sqlite3")) as connection:
        connection.execute("CREATE TABLE turns (id)")
        connection.commit()
        yield connection


def test_a_store_that_works(tmp_path: Path, database: sqlite3.Connection) -> None:
    assert examine(tmp_path, MIKA_BACKEND="none")["history"].status == "ok"


def test_a_store_that_somebody_holds(tmp_path: Path, database: sqlite3.Connection) -> None:
    database.execute("BEGIN EXCLUSIVE")
    found = examine(tmp_path, MIKA_BACKEND="none")["history"]
    assert (found.status, "locked" in found.finding) == ("fail", True)
    assert "`mika down` and `mika up`" in found.fix
    (tmp_path / "Procfile").write_text("web: serve\nhands: work\nother: run\n", encoding="utf-8")
    rules = bots_rules("api:\nworker:").replace(".api]", ".web]").replace(".worker]", ".hands]")
    (tmp_path / "pyproject.toml").write_text(rules, encoding="utf-8")
    assert "`mika restart web hands`" in examine(tmp_path, MIKA_BACKEND="none")["history"].fix


@posix_only
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_is_read_only(tmp_path: Path, database: sqlite3.Connection) -> None:
    file = tmp_path / ".mika" / "data" / "history.sqlite3"
    file.chmod(0o400)
    found = examine(tmp_path, MIKA_BACKEND="none")["history"]
    assert (found.status, "readonly" in found.finding) == ("fail", True)
    assert "chmod" in found.fix


def test_the_fix_of_a_read_only_store(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "x")) as database:
        database.execute("PRAGMA query_only = ON")
        with pytest.raises(sqlite3.OperationalError) as caught:
            database.execute("CREATE TABLE turns (id)")
    assert "`chmod u+w x`" in history._sqlite_fix(Path("x"), caught.value, "", "linux")
    assert '`attrib -R "a b"`' in history._sqlite_fix(Path("a b"), caught.value, "", "win32")


@pytest.mark.parametrize(
    ("file", "uri"),
    [
        (PurePosixPath("/a b/x?#%"), "file:///a%20b/x%3F%23%25?mode=rw"),
        (PureWindowsPath(r"C:\a b\x"), "file:///C:/a%20b/x?mode=rw"),
        (PureWindowsPath(r"\\server\share\x"), "file:////server/share/x?mode=rw"),
    ],
)
def test_where_the_store_is(file: PurePath, uri: str) -> None:
    assert history._uri(file) == uri


def test_the_fix_of_a_broken_store() -> None:
    """On Windows a file cannot be moved while the bot has it open."""
    fix = history._sqlite_fix(Path("a b"), sqlite3.DatabaseError(), "`mika restart w`", "linux")
    assert fix == "move it away (`mv 'a b' 'a b.broken'`) and `mika restart w`: a new one is created"
    fix = history._sqlite_fix(Path("a b"), sqlite3.DatabaseError(), "`mika restart w`", "win32")
    assert fix == '`mika down`, move it away (`move "a b" "a b.broken"`), then `mika up` creates a new one'


def test_looking_creates_nothing(tmp_path: Path) -> None:
    found = examine(tmp_path, MIKA_BACKEND="none")
    assert "history" not in found, "nothing says that there is a bot"
    assert list(tmp_path.iterdir()) == []
