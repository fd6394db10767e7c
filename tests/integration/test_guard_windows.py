"""The guard on Windows: the same promises as in tests/integration/guard. Runs on Windows and, on Linux, under Wine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
import uuid
from pathlib import Path

import psutil
import pytest
from mika.project import logs
from mika.supervisor.guard import Exit, Guard, ServiceSpec, StartFailedError

from tests.kit.programs import ASGI

pytestmark = pytest.mark.skipif(os.name != "nt", reason="the Windows half")

ROOT = Path(__file__).parents[2]
DEADLINE = 60.0  # s


# A service with a child that both write their pid, wait, and say how they ended.
FAMILY = """
import os, subprocess, sys, time
if len(sys.argv) == 1:
    subprocess.Popen([sys.executable, __file__, "child"])
open(f"pid-{len(sys.argv)}", "w").write(str(os.getpid()))
try:
    print("up", flush=True)
    time.sleep(777)
except KeyboardInterrupt:
    print("clean", flush=True)
"""

SUPERVISOR = """
import asyncio, os, sys, time
from pathlib import Path
from mika.supervisor.guard import Guard, ServiceSpec
async def main():
    guard = await Guard.start(ServiceSpec(
        name="svc", command=tuple(sys.argv[1:]), cwd=Path.cwd(), env=dict(os.environ), log_dir=Path("logs"), grace=30))
    Path("guard-pid").write_text(str(guard.guard_pid))
    await guard.wait()
asyncio.run(main())
"""


def spec(folder: Path, command, **options) -> ServiceSpec:
    env = os.environ | {"MIKA_RUN_ID": uuid.uuid4().hex, "MIKA_PROCESS": "svc", "PYTHONUNBUFFERED": "1"}
    return ServiceSpec(
        name="svc", command=command, cwd=folder, env=env | options.pop("env", {}), log_dir=folder / "logs", **options
    )


def log(folder: Path) -> bytes:
    lines = logs.read_merged(folder / "logs", ["svc"])
    return b"\n".join(line.data.rstrip(b"\r") for _, line in lines)


async def stop(guard: Guard) -> Exit:
    guard.request_stop()
    return await asyncio.wait_for(guard.wait(), DEADLINE)


async def until(condition, what: str):
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {DEADLINE} s for {what}"
        await asyncio.sleep(0.02)
    return value


def family(folder: Path) -> list[int]:
    if not (folder / "family.py").exists():  # it is asked again and again, while Python may be reading the file
        (folder / "family.py").write_text(textwrap.dedent(FAMILY), encoding="utf-8")
    return [int(path.read_text()) for path in folder.glob("pid-*") if path.read_text()]


def living(pids) -> list[int]:
    return [pid for pid in pids if psutil.pid_exists(pid)]


@contextlib.contextmanager
def supervisor(folder: Path, *command: str):
    env = os.environ | {
        "PYTHONPATH": str(ROOT / "launcher"), "PYTHONUNBUFFERED": "1",
        "MIKA_RUN_ID": uuid.uuid4().hex, "MIKA_PROCESS": "svc",
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, *command], cwd=folder, env=env,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("code", [0, 3, 0xC0000005])
def test_exit_code(tmp_path, code):
    async def main():
        command = (sys.executable, "-c", f"import ctypes; print('hi'); ctypes.windll.kernel32.ExitProcess({code})")
        guard = await Guard.start(spec(tmp_path, command))
        result = await asyncio.wait_for(guard.wait(), DEADLINE)
        assert result.code == code
        assert not result.guard_lost
        assert log(tmp_path) == b"hi"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("command", "options", "kind"),
    [
        (("no-such-program",), {}, "not_found"),
        ("no-such-program --flag", {}, "not_found"),
        (("python",), {"cwd": Path("Z:/no/such/folder")}, "cwd"),
        (("text.exe",), {}, "not_found"),
    ],
)
def test_a_start_that_fails_says_why(tmp_path, command, options, kind):
    import dataclasses

    (tmp_path / "text.exe").write_text("not a program", encoding="utf-8")

    async def main():
        command_env = {"PATH": f"{tmp_path};{os.environ['PATH']}"}
        with pytest.raises(StartFailedError) as caught:
            await Guard.start(dataclasses.replace(spec(tmp_path, command, env=command_env), **options))
        assert caught.value.code == kind

    asyncio.run(main())


@pytest.mark.parametrize(
    "command",
    [
        "python -c \"print(1, 'a b')\"",
        '"python" -c "print(1, \'a b\')"',
        'cmd.exe /d /s /c "python -c "print(1, \'a b\')" & rem %TOKEN%"',
    ],
)
def test_command_lines(tmp_path, command):
    """The program is the one on the PATH of the service's environment, not the one beside the guard's interpreter."""

    async def main():
        path = str(Path(sys.executable).parent) + ";" + os.environ["PATH"]
        guard = await Guard.start(spec(tmp_path, command, env={"PATH": path}))
        assert (await asyncio.wait_for(guard.wait(), DEADLINE)).code == 0
        assert b"1 a b" in log(tmp_path)

    asyncio.run(main())


def test_batch_file_is_found_by_its_bare_name(tmp_path):
    (tmp_path / "tool.cmd").write_text("@echo from a batch file %1\r\n", encoding="ascii")

    async def main():
        env = {"PATH": f"{tmp_path};{os.environ['PATH']}"}
        guard = await Guard.start(spec(tmp_path, ("tool", "arg"), env=env))
        assert (await asyncio.wait_for(guard.wait(), DEADLINE)).code == 0
        assert log(tmp_path).strip() == b"from a batch file arg"

    asyncio.run(main())


def test_lock(tmp_path):
    async def main():
        what = spec(
            tmp_path, (sys.executable, "-c", "import time; time.sleep(777)"), lock=tmp_path / "data" / "db.lock"
        )
        guard = await Guard.start(what)
        with pytest.raises(StartFailedError) as caught:
            await Guard.start(what)
        assert caught.value.code == "locked"
        guard.kill()
        await asyncio.wait_for(guard.wait(), DEADLINE)
        again = await Guard.start(what)
        again.kill()
        await asyncio.wait_for(again.wait(), DEADLINE)

    asyncio.run(main())


def test_stop_reaches_the_whole_tree(tmp_path):
    async def main():
        family(tmp_path)
        guard = await Guard.start(spec(tmp_path, (sys.executable, "family.py"), grace=600))
        await until(lambda: log(tmp_path).count(b"up") == 2, "the family")
        pids = family(tmp_path)
        assert guard.pid in pids
        result = await stop(guard)
        assert result.code == 0
        assert log(tmp_path).count(b"clean") == 2
        assert living(pids) == []

    asyncio.run(main())


def test_a_shell_that_asks_after_ctrl_c_does_not_wait_for_an_answer(tmp_path):
    """cmd.exe: "Terminate batch job (Y/N)?". What it runs has time to end gracefully before its input ends."""

    async def main():
        (tmp_path / "program.py").write_text(
            "import time\nprint('up', flush=True)\n"
            "try: time.sleep(777)\nexcept KeyboardInterrupt: time.sleep(1); print('clean', flush=True)\n"
        )
        (tmp_path / "shell.py").write_text(
            "import signal, subprocess, sys\nsignal.signal(signal.SIGINT, lambda *_: None)\n"
            "subprocess.Popen([sys.executable, 'program.py'])\nsys.stdin.read()\nprint('end')\n"
        )
        command = f'"{sys.executable}" shell.py'
        guard = await Guard.start(spec(tmp_path, command, grace=600, stdin="open"))
        await until(lambda: log(tmp_path) == b"up", "the program")
        assert (await stop(guard)).code == 0
        assert log(tmp_path).split() == [b"up", b"clean", b"end"]

    asyncio.run(main())


@pytest.mark.parametrize("how", ["grace", "kill", "kill during stop"])
def test_who_ignores_ctrl_c_is_killed(tmp_path, how):
    async def main():
        code = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('up')\nwhile 1: time.sleep(1)"
        grace = 0.5 if how == "grace" else 600
        guard = await Guard.start(spec(tmp_path, (sys.executable, "-c", code), grace=grace))
        await until(lambda: log(tmp_path) == b"up", "the service")
        if how != "kill":
            guard.request_stop()
        if how != "grace":
            guard.kill()
        result = await asyncio.wait_for(guard.wait(), DEADLINE)
        assert result.code == 1
        assert not result.guard_lost
        assert living([guard.pid, guard.guard_pid]) == []

    asyncio.run(main())


def test_what_a_dead_service_leaves_is_killed_at_once(tmp_path):
    async def main():
        family(tmp_path)
        code = "import subprocess, sys; subprocess.Popen([sys.executable, 'family.py', 'child']); input_ = sys.exit(3)"
        guard = await Guard.start(spec(tmp_path, (sys.executable, "-c", code), grace=600))
        assert (await asyncio.wait_for(guard.wait(), DEADLINE)).code == 3
        assert living(family(tmp_path)) == []

    asyncio.run(main())


def test_death_of_the_guard_takes_the_tree(tmp_path):
    async def main():
        family(tmp_path)
        guard = await Guard.start(spec(tmp_path, (sys.executable, "family.py")))
        await until(lambda: len(family(tmp_path)) == 2, "the family")
        pids = family(tmp_path)
        psutil.Process(guard.guard_pid).kill()
        assert (await asyncio.wait_for(guard.wait(), DEADLINE)).guard_lost
        await until(lambda: not living(pids), "the end of the tree")

    asyncio.run(main())


def test_death_of_the_supervisor_stops_the_tree_gracefully(tmp_path):
    async def main():
        family(tmp_path)
        with supervisor(tmp_path, sys.executable, "family.py") as process:
            await until(lambda: log(tmp_path).count(b"up") == 2, "the family")
            pids = [*family(tmp_path), int((tmp_path / "guard-pid").read_text())]
            process.kill()
            await until(lambda: not living(pids), "the end of the tree")
        assert log(tmp_path).count(b"clean") == 2

    asyncio.run(main())


@pytest.mark.parametrize("reload", [False, True])
def test_uvicorn_shuts_down_gracefully(tmp_path, reload):
    (tmp_path / "app.py").write_text(ASGI, encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def answers() -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return answer.read() == b"ok"
        return False

    async def main():
        extra = ("--reload",) if reload else ()
        command = (sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), *extra)
        guard = await Guard.start(spec(tmp_path, command, grace=600))
        await until(answers, "uvicorn")
        await stop(guard)
        text = log(tmp_path)
        assert b"Application shutdown complete" in text
        assert b"Finished server process" in text
        assert not answers()

    asyncio.run(main())


def test_log_is_byte_exact_and_bounded(tmp_path):
    code = (
        "import os\n"
        "for n in range(3000):\n"
        "    os.write(1 + n % 2, bytes([n % 256, 0, 13, 10, 26, 10]) * (n % 97) + b'%d' % n)\n"
    )
    expected = b"".join(bytes([n % 256, 0, 13, 10, 26, 10]) * (n % 97) + b"%d" % n for n in range(3000))

    async def main():
        for limit in (64 << 20, 100_000):
            folder = tmp_path / str(limit)
            folder.mkdir()
            guard = await Guard.start(spec(folder, (sys.executable, "-c", code), log_max_bytes=limit))
            assert (await asyncio.wait_for(guard.wait(), DEADLINE)).code == 0
            data = b"".join(segment.path.read_bytes() for segment in logs.segments(folder / "logs", "svc"))
            assert expected.endswith(data)
            assert len(data) == len(expected) or sum(p.stat().st_size for p in (folder / "logs").iterdir()) <= limit
            assert len(data) > min(len(expected), limit) // 2

    asyncio.run(main())
