"""What the doctor says of a MongoDB at MONGODB_URL: whether the server answers, and whether the API may use it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from mika.config import load as config
from mika.doctor.check import Check
from mika.doctor.checks import history
from mika.doctor.examination import Examination
from mika.project.folder import ProjectDir
from mika.readiness.mongodb import encode

from tests.kit.machine import free_port
from tests.kit.project import bots_rules

Respond = Callable[[bytes], bytes]


@contextlib.asynccontextmanager
async def server(respond: Respond) -> AsyncIterator[int]:
    tasks: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            writer.write(respond(await reader.read(1000)))
            writer.close()
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1]
        await asyncio.gather(*filter(None, tasks))


def mongodb(request: bytes) -> bytes:
    (number,) = struct.unpack_from("<i", request, 4)
    body = b"\0" * 5 + encode({"ok": 1})
    return struct.pack("<iiii", 16 + len(body), 1, number, 2013) + body


def api(**history: Any) -> Respond:
    def respond(request: bytes) -> bytes:
        answers: dict[bytes, Any] = {
            b"/healthz": {"status": "ok"},
            b"/openapi.json": {"paths": {"/webhook/langbot": {}}},
            b"/readyz": {"history": history},
        }
        path = request.split()[1]
        body = json.dumps(answers[path]).encode()
        return b"HTTP/1.1 %d -\r\nContent-Length: %d\r\n\r\n%s" % (503 if path == b"/readyz" else 200, len(body), body)

    return respond


def check(folder: Path, url: str, *, mongo: Respond | None = mongodb, bot: Respond | None = None) -> Check:
    """`{}` in `url` is the port of a server that answers as `mongo`; None for either: nobody listens."""

    (folder / "Procfile").write_text("api: serve\n", encoding="utf-8")
    (folder / "mika.toml").write_text(bots_rules("api:").replace("tool.mika.", ""), encoding="utf-8")

    async def main() -> Check:
        async with contextlib.AsyncExitStack() as stack:

            async def port(respond: Respond | None) -> int:
                if respond is None:
                    return stack.enter_context(free_port())
                return await stack.enter_async_context(server(respond))

            environ = {"MONGODB_URL": url.format(await port(mongo)), "API_PORT": str(await port(bot))}
            settings = config.load(folder, environ={**environ, "MIKA_BACKEND": "none"})
            async with Examination(settings, ProjectDir(settings.project)) as exam:
                return await asyncio.wait_for(history.history(exam), 30)

    return asyncio.run(main())


LOGIN = "mongodb://me:secret@127.0.0.1:{}/d"


def test_the_api_can_use_it(tmp_path):
    found = check(tmp_path, LOGIN, bot=api(state="ready", detail="MongoDB database d", kind="mongodb"))
    assert found.status == "ok"
    assert found.finding.endswith(" answers; the API uses MongoDB database d")


def test_the_api_cannot_log_in(tmp_path):
    refused = {"kind": "mongodb", "state": "unavailable", "detail": "Authentication failed."}
    found = check(tmp_path, LOGIN, bot=api(**refused, error="denied"))
    assert found.status == "fail"
    assert found.finding.endswith(" answers; the API cannot use it: Authentication failed.")
    assert "authSource" in found.fix
    assert "authSource" not in check(tmp_path, LOGIN, bot=api(**refused, error="failed")).fix


def test_the_api_uses_another_store(tmp_path):
    found = check(tmp_path, LOGIN, bot=api(state="ready", detail="SQLite file x", kind="sqlite"))
    assert found.status == "warn"
    assert found.finding.endswith(" answers; the API does not use it: SQLite file x")
    assert "`mika down`, then `mika up`" in found.fix


def test_without_the_api_the_login_is_not_checked(tmp_path):
    found = check(tmp_path, LOGIN)
    assert found.status == "ok"
    assert found.finding.endswith(" answers; the login was not checked: only the bot's API tells")
    assert "secret" not in found.finding


def test_nobody_answers(tmp_path):
    found = check(tmp_path, LOGIN, mongo=None, bot=api(state="ready", detail="another store"))
    assert found.status == "fail"
    assert "does not answer (connection refused)" in found.finding
    assert found.fix.startswith("start it, or correct MONGODB_URL")


def test_something_else_answers(tmp_path):
    found = check(tmp_path, LOGIN, mongo=lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert "what listens there is not MongoDB" in found.finding


@pytest.mark.parametrize("url", ["mongodb+srv://me:secret@h/d", "mongodb://a,b/d", "mongodb://h/?tls=true"])
def test_a_server_that_takes_a_driver(tmp_path, url):
    found = check(tmp_path, url)
    assert (found.status, found.because) == ("skip", "")
    assert found.finding.startswith("MongoDB is not asked from here")
    assert check(tmp_path, url, bot=api(state="ready", detail="MongoDB")).status == "ok"
    assert check(tmp_path, url, bot=api(state="unavailable", detail="no")).status == "fail"


def test_a_password_that_is_not_escaped(tmp_path):
    found = check(tmp_path, "mongodb://me:sec@ret@h/d")
    assert found.status == "fail"
    assert "%40" in found.finding
    assert "ret" not in found.finding
