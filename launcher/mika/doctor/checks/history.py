"""Check of the store of conversations: MongoDB, or a SQLite file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from mika.address import join
from mika.doctor.check import Check, fail, ok, skipped, warn
from mika.doctor.checks.docker import because_of_docker
from mika.doctor.examination import Examination
from mika.machine.local import in_thread, is_writable
from mika.readiness import mongodb


async def history(exam: Examination) -> Check | None:
    """The bot's store. What other projects keep, and where, is not known; of MONGODB_URL it is."""
    url = exam.config.text("MONGODB_URL")
    if url:
        return await _mongodb(exam, url)
    name = os.environ.get("MIKA_HISTORY_FILE") or exam.config.dotenv.get("MIKA_HISTORY_FILE", "")
    file = exam.config.project / (name or ".mika/data/history.sqlite3")
    if not (name or file.exists() or await exam.is_bot()):
        return None
    if exam.backend == "docker":
        return await _container(exam)
    restart = await _how_to_restart(exam)
    check = await in_thread(lambda: _sqlite(file, restart))
    store = await exam.dependency("history") if check.status == "ok" else {}
    if store.get("state") == "unavailable":
        fix = f"fix what it says; {await _log_of_api(exam)} has more"
        return fail("history", f"the API cannot use its store: {store.get('detail')}", fix)
    return check


async def _container(exam: Examination) -> Check:
    """The MongoDB of the compose file: the API knows its address."""
    store = await exam.dependency("history")
    if "state" not in store:
        text = "MongoDB in its container; the API, which uses it, does not answer"
        return await because_of_docker(exam, "history", text) or skipped("history", text)
    if store["state"] == "ready":
        return ok("history", str(store.get("detail", "")))
    text, is_up = f"the API cannot use its store: {store.get('detail')}", await exam.status() is not None
    fix = "`mika restart mongodb`; `mika logs mongodb` says why" if is_up else "`mika up`"
    return await because_of_docker(exam, "history", text) or fail("history", text, fix)


async def _mongodb(exam: Examination, url: str) -> Check:
    """Whether the server answers. Whether it lets the bot's user in, and all that needs TLS, only the API knows."""
    try:
        server = mongodb.address_of(url)
    except ValueError as error:
        return fail("history", f"MONGODB_URL cannot be read: {error}", "correct MONGODB_URL")
    answers = "MongoDB is not asked from here (MONGODB_URL has several servers, mongodb+srv, TLS or a socket file)"
    if server is not None:
        answers = f"MongoDB at {join(*server)} answers"
        if reason := await mongodb.why_silent(*server):
            text = f"MongoDB at {join(*server)} does not answer ({reason})"
            fix = "`mika up`" if exam.backend == "docker" else "start it, or correct MONGODB_URL"
            skip = await because_of_docker(exam, "history", text)
            without = " (without MONGODB_URL a file is used)" if await exam.is_bot() else ""
            return skip or fail("history", text, f"{fix}{without}")
    store = await exam.dependency("history")
    detail = str(store.get("detail", ""))
    if not store:
        text = f"{answers}; the login was not checked: only the bot's API tells"
        return ok("history", text) if server is not None else skipped("history", text)
    if store.get("kind", "mongodb") != "mongodb":
        fix = "start the bot again, with MONGODB_URL as it is now: `mika down`, then `mika up`"
        return warn("history", f"{answers}; the API does not use it: {detail}", fix)
    if store.get("state") == "ready":
        return ok("history", f"{answers}; the API uses {detail}")
    text, fix = f"{answers}; the API cannot use it: {detail}", f"{await _log_of_api(exam)} says more"
    if store.get("error") == "denied":
        fix = f"correct user, password and authSource in MONGODB_URL; {fix}"
    return await because_of_docker(exam, "history", text) or fail("history", text, fix)


async def _log_of_api(exam: Examination) -> str:
    process = await exam.api_process()
    return f"`mika logs {process.name}`" if process is not None else "`mika logs`"


async def _how_to_restart(exam: Examination) -> str:
    """A command for the bot's processes, which have the file open."""
    api = await exam.api_process()
    names = [process.name for process in await exam.processes() if exam.queue in process.queues or process == api]
    return f"`mika restart {' '.join(names)}`" if names else "`mika down` and `mika up`"


def _sqlite(file: Path, restart: str) -> Check:
    shown = f"SQLite file {file}"
    if not file.exists():
        if is_writable(file.parent):
            return ok("history", f"{shown} (created with the first message)")
        return fail(
            "history", f"{file.parent} cannot be written", f"give yourself the right: `chmod u+rwx {file.parent}`"
        )
    try:
        # mode=rw: this must not create it.
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, timeout=1.0)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            database.rollback()
    except sqlite3.Error as error:
        return fail("history", f"{shown}: {error}", _sqlite_fix(file, error, restart))
    return ok("history", shown)


def _sqlite_fix(file: Path, error: sqlite3.Error, restart: str) -> str:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:  # without the details of an extended code
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return f"make it writable: `chmod u+w {file}`"
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return f"another program holds it: close that (a database viewer?), or {restart}"
    return f"move it away (`mv {file} {file}.broken`) and {restart}: a new one is created"
