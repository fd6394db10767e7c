"""Check of the store of conversations: MongoDB, or a SQLite file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

from mika.address import join
from mika.doctor.check import Check, fail, ok, one_line, skipped, warn
from mika.doctor.checks.docker import because_of_docker
from mika.doctor.examination import Examination
from mika.errors import describe
from mika.machine.local import in_thread, is_writable
from mika.quoting import quoted
from mika.readiness import mongodb
from mika.wording import _


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
        fix = _("fix what the error names; {log} has more", log=await _log_of_api(exam))
        return fail("history", _unusable(store), fix)
    return check


async def _container(exam: Examination) -> Check:
    """The MongoDB of the compose file: the API knows its address."""
    store = await exam.dependency("history")
    if "state" not in store:
        unknown = _("in MongoDB, in a container; the API, which knows more, does not answer")
        return await because_of_docker(exam, "history", unknown) or skipped("history", unknown)
    if store["state"] == "ready":
        return ok("history", one_line(store.get("detail")))
    text, is_up = _unusable(store), await exam.status() is not None
    fix: str = _("`mika restart mongodb`; `mika logs mongodb` may say why") if is_up else "`mika up`"
    return await because_of_docker(exam, "history", text) or fail("history", text, fix)


def _unusable(store: Mapping[str, Any]) -> str:
    return _("the API cannot use its store: {detail}", detail=one_line(store.get("detail")))


async def _mongodb(exam: Examination, url: str) -> Check:
    """Whether the server answers. Whether it lets the bot's user in, and all that needs TLS, only the API knows."""
    try:
        server = mongodb.address_of(url)
    except ValueError as error:
        text = _("MONGODB_URL cannot be read: {error}", error=describe(error))
        return fail("history", text, _("correct MONGODB_URL"))
    answers = _("MongoDB is not asked from here (MONGODB_URL has several servers, mongodb+srv, TLS or a socket file)")
    if server is not None:
        answers = _("MongoDB at {address} answers", address=join(*server))
        if reason := await mongodb.why_silent(*server):
            return await _silent(exam, join(*server), reason)
    store = await exam.dependency("history")
    detail = one_line(store.get("detail"))
    if not store:
        text = _("{answers}; the login was not checked: only the bot's API tells", answers=answers)
        return ok("history", text) if server is not None else skipped("history", text)
    if store.get("kind", "mongodb") != "mongodb":
        fix = _("start the bot again, with MONGODB_URL as it is now: `mika down`, then `mika up`")
        text = _("{answers}; the API does not use it: {detail}", answers=answers, detail=detail)
        return warn("history", text, fix)
    if store.get("state") == "ready":
        return ok("history", _("{answers}; the API uses {detail}", answers=answers, detail=detail))
    text = _("{answers}; the API cannot use it: {detail}", answers=answers, detail=detail)
    fix = _("{log} says more", log=await _log_of_api(exam))
    if store.get("error") == "denied":
        fix = _("correct user, password and authSource in MONGODB_URL; {log}", log=fix)
    return await because_of_docker(exam, "history", text) or fail("history", text, fix)


async def _silent(exam: Examination, address: str, reason: str) -> Check:
    text = _("MongoDB at {address} does not answer ({reason})", address=address, reason=reason)
    fix = "`mika up`" if exam.backend == "docker" else _("start it, or correct MONGODB_URL")
    if await exam.is_bot():
        fix = _("{fix} (without MONGODB_URL a file is used)", fix=fix)
    return await because_of_docker(exam, "history", text) or fail("history", text, fix)


async def _log_of_api(exam: Examination) -> str:
    process = await exam.api_process()
    return f"`mika logs {process.name}`" if process is not None else "`mika logs`"


async def _how_to_restart(exam: Examination) -> str:
    """A command for the bot's processes, which have the file open."""
    api = await exam.api_process()
    names = [process.name for process in await exam.processes() if exam.queue in process.queues or process == api]
    return f"`mika restart {' '.join(names)}`" if names else _("`mika down` and `mika up`")


def _sqlite(file: Path, restart: str) -> Check:
    shown = _("SQLite file {file}", file=file)
    if not file.exists():
        if is_writable(file.parent):
            return ok("history", _("{file} (created with the first message)", file=shown))
        return fail(
            "history",
            _("{folder} cannot be written", folder=file.parent),
            _how_to_open(file.parent),
        )
    try:
        # mode=rw: this must not create it.
        with contextlib.closing(sqlite3.connect(_uri(file), uri=True, timeout=1.0)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
            database.rollback()
    except sqlite3.Error as error:
        return fail("history", _("{file}: {error}", file=shown, error=error), _sqlite_fix(file, error, restart))
    return ok("history", shown)


def _uri(file: PurePath) -> str:
    """SQLite takes the server of a network path (`file://server/share/x`) for a mistake."""
    path = file.as_posix()
    return f"file://{'' if path.startswith('/') else '/'}{quote(path, safe='/:')}?mode=rw"


def _how_to_open(folder: Path, platform: str = sys.platform) -> str:
    if platform == "win32":
        return _("give your user the right to write there")
    return _("give yourself the right: `chmod u+rwx {folder}`", folder=quoted(folder))


def _sqlite_fix(file: Path, error: sqlite3.Error, restart: str, platform: str = sys.platform) -> str:
    typed, is_windows = quoted(file, platform), platform == "win32"
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:  # without the details of an extended code
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            if is_windows:
                return _("make it writable: `attrib -R {file}`", file=typed)
            return _("make it writable: `chmod u+w {file}`", file=typed)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return _("another program holds it: close that (a database viewer?), or {restart}", restart=restart)
    broken = quoted(f"{file}.broken", platform)
    if is_windows:  # nobody can move it while the bot has it open
        return _(
            "`mika down`, move it away (`move {file} {other}`), then `mika up` creates a new one",
            file=typed,
            other=broken,
        )
    return _(
        "move it away (`mv {file} {other}`) and {restart}: a new one is created",
        file=typed,
        other=broken,
        restart=restart,
    )
