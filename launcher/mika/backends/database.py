"""The database file of the embedded Temporal server."""

from __future__ import annotations

import contextlib
from pathlib import Path

_FINISHED = 100_000
"""Bytes. The tables alone are 700 kB, once they are in the file itself."""
_PARTS = ("", "-wal", "-shm", "-journal")


def discard_unfinished(database: Path) -> None:
    """Delete a database in which nothing was ever stored. Nobody may have it open.

    A server that was killed while it made its tables, or met a full disk, leaves one: the next server takes the file
    for a finished database, and exits. The namespace is the first thing to be stored, so without one there is nothing.
    """
    if not database.exists() or database.stat().st_size > _FINISHED:
        return
    import sqlite3  # takes 3 ms

    try:
        with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=1)) as connection:
            named = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'namespaces'").fetchone()
            if named and connection.execute("SELECT 1 FROM namespaces LIMIT 1").fetchone():
                return
    except sqlite3.Error:  # in use, or broken: the server says so
        return
    for part in _PARTS:
        with contextlib.suppress(OSError):
            database.with_name(database.name + part).unlink()
