"""A service under its guard, with real processes: how it starts, in what environment, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from pathlib import Path

import pytest
from mika.reason import Reason
from mika.supervisor.exits import describe
from mika.supervisor.guard import Exit, Guard, StartFailedError

from tests.kit.guard import stop, until
from tests.kit.machine import DEADLINE, posix_only

pytestmark = posix_only


@pytest.mark.parametrize(
    ("command", "code", "reason"),
    [
        ("exit 0", 0, "exit code 0"),
        ("exit 7", 7, "exit code 7"),
        ("kill -9 $$", -9, "killed by SIGKILL"),
        ("kill -SEGV $$", -11, "killed by SIGSEGV"),
        ("no-such-program-at-all", 127, "exit code 127"),
    ],
)
def test_exit_codes_and_signals(run, command, code, reason):
    async def main():
        guard = await Guard.start(run.spec(command))
        assert await asyncio.wait_for(guard.wait(), DEADLINE) == Exit(code, Reason(reason))
        assert guard.exit == Exit(code, Reason(reason))

    asyncio.run(main())


def test_reasons():
    assert describe(0xC000013A) == "exit code 0xC000013A (stopped by Ctrl-C)"
    assert describe(0xC0001234) == "exit code 0xC0001234"
    assert describe(-34) == "killed by SIGRTMIN"
    assert describe(-63) == "killed by signal 63"


def test_pid_is_the_service_itself(run):
    async def main():
        guard = await Guard.start(run.python("import os; print(os.getpid()); input()"))
        await guard.wait()
        assert run.log().split(b"\n")[0] == str(guard.pid).encode()
        assert b"EOFError" in run.log()  # standard input is empty, not the terminal

    asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"command": ("no-such-program",)}, "not_found", "svc: no-such-program: no such program"),
        ({"command": ("/etc/passwd",)}, "permission", "svc: /etc/passwd: permission denied"),
        ({"command": ("true",), "cwd": Path("/no/such/folder")}, "cwd", "svc: /no/such/folder: no such folder"),
        ({"command": ("tr\0ue",)}, "other", "embedded null"),
    ],
)
def test_a_start_that_fails_says_why(run, options, kind, text):
    async def main():
        with pytest.raises(StartFailedError) as caught:
            await Guard.start(run.spec(**options))
        assert caught.value.code == kind
        assert text in caught.value.message
        assert "\n" not in caught.value.message
        assert caught.value.message.values["message"].template, "the guard's text can be translated"

    asyncio.run(main())
    assert run.alive() == []


def test_a_guard_of_another_version(run, tmp_path, monkeypatch):
    """An upgrade of mika replaces the files of a stack that runs."""
    child = tmp_path / "mika" / "guard" / "child.py"
    child.parent.mkdir(parents=True)
    child.write_text("def main(): raise SystemExit(3)\n", encoding="utf-8")
    monkeypatch.setattr("mika.supervisor.guard._PACKAGE_ROOT", str(tmp_path))

    async def main():
        with pytest.raises(StartFailedError) as caught:
            await Guard.start(run.spec("sleep 777"))
        assert caught.value.message == "svc: its guard failed to start (exit code 3)"
        assert caught.value.hint == "mika was replaced since this stack was started: `mika down`, then `mika up`"

    asyncio.run(main())


def test_a_program_is_found_on_the_path_of_its_own_environment(run):
    program = run.folder / "bin" / "only-here"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho found\n", encoding="utf-8")
    program.chmod(0o755)

    async def main():
        guard = await Guard.start(run.spec(("only-here",), env={"PATH": f"{program.parent}:/usr/bin:/bin"}))
        assert (await guard.wait()).code == 0

    asyncio.run(main())
    assert run.log() == b"found\n"


def test_lock_is_held_as_long_as_the_service_lives(run):
    async def main():
        spec = run.spec(("sleep", "777"), lock=run.folder / "data" / "db.lock")
        guard = await Guard.start(spec)
        with pytest.raises(StartFailedError) as caught:
            await Guard.start(spec)
        assert caught.value.code == "locked"
        await stop(guard)
        again = await Guard.start(spec)
        await stop(again)

    asyncio.run(main())


def test_cancelled_start_leaves_nothing(run):
    async def main():
        for seconds in (0.0, 0.005, 0.02, 0.04):
            task = asyncio.create_task(Guard.start(run.spec("sleep 777 & sleep 777")))
            await asyncio.wait([task], timeout=seconds)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                guard = await task
                guard.kill()
                await guard.wait()
        assert run.alive() == []

    asyncio.run(main())


def test_environment_is_in_no_command_line_and_the_spec_is_complete(run):
    async def main():
        secret = "s3cret-" + uuid.uuid4().hex
        guard = await Guard.start(run.spec("echo \"$TOKEN\" '中文'; pwd; sleep 777", env={"TOKEN": secret}))
        await until(lambda: run.log().count(b"\n") == 2, "the output")
        for process in run.alive():
            assert secret not in " ".join(process.cmdline())
        assert secret.encode() not in Path(f"/proc/{guard.guard_pid}/environ").read_bytes()
        assert run.log() == f"{secret} 中文\n{run.folder}\n".encode()
        await stop(guard)

    asyncio.run(main())
