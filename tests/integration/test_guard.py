"""The guard with real processes: no orphan ever, no byte lost."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from launcher import logs
from launcher.guard.segments import segment_numbers, segment_path
from launcher.supervisor.guard import (
    Exit,
    Exited,
    Guard,
    LogFailed,
    LogRecovered,
    ServiceSpec,
    StartFailedError,
    describe,
)
from launcher.supervisor.sweep import sweep

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the POSIX half; tests/windows has the other one")

ROOT = Path(__file__).parents[2]
DEADLINE = 20.0  # s; what a test waits for comes in a fraction of it


@dataclass
class Run:
    """One run id; everything that carries it is killed at the end of the test."""

    folder: Path
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def spec(self, command: str | tuple[str, ...], **options) -> ServiceSpec:
        name = options.pop("name", "svc")
        marks = {"MIKA_RUN_ID": self.run_id, "MIKA_PROCESS": name, "PYTHONUNBUFFERED": "1"}
        return ServiceSpec(
            name=name,
            command=command,
            cwd=options.pop("cwd", self.folder),
            env=os.environ | marks | options.pop("env", {}),
            log_dir=self.folder / "logs",
            **options,
        )

    def python(self, code: str, **options) -> ServiceSpec:
        return self.spec((sys.executable, "-c", code), **options)

    def log(self, name: str = "svc") -> bytes:
        directory = str(self.folder / "logs")
        return b"".join(Path(segment_path(directory, name, n)).read_bytes() for n in segment_numbers(directory, name))

    def alive(self, *, guards: bool = True) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                environ = process.environ()
                ours = environ.get("MIKA_RUN_ID") == self.run_id and (guards or "MIKA_GUARD" not in environ)
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found


@pytest.fixture
def run(tmp_path):
    this = Run(tmp_path)
    try:
        yield this
    finally:
        deadline = time.monotonic() + DEADLINE
        while (left := this.alive()) and time.monotonic() < deadline:
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            time.sleep(0.02)


async def until(condition, what: str):
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {DEADLINE} s for {what}"
        await asyncio.sleep(0.01)
    return value


def sync_until(condition, what: str):
    return asyncio.run(until(condition, what))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# --- how it ends ------------------------------------------------------------------------------------------------------


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
        events = []
        guard = await Guard.start(run.spec(command), events.append)
        assert await asyncio.wait_for(guard.wait(), DEADLINE) == Exit(code, reason)
        assert guard.exit == Exit(code, reason)
        assert events == [Exited(code, reason)]

    asyncio.run(main())


def test_reasons():
    assert describe(0xC000013A) == "exit code 0xC000013A (ended by Ctrl-C)"
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
        ({"command": ("/etc/passwd",)}, "permission", "svc: /etc/passwd: may not be executed"),
        ({"command": ("true",), "cwd": Path("/no/such/folder")}, "cwd", "svc: /no/such/folder: no such folder"),
        ({"command": ("tr\0ue",)}, "other", "embedded null"),
    ],
)
def test_a_start_that_fails_says_why(run, options, kind, text):
    async def main():
        with pytest.raises(StartFailedError) as caught:
            await Guard.start(run.spec(**options))
        assert caught.value.kind == caught.value.code == kind
        assert text in caught.value.message
        assert "\n" not in caught.value.message

    asyncio.run(main())
    assert run.alive() == []


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
        assert caught.value.kind == "locked"
        await guard.stop()
        again = await Guard.start(spec)
        await again.stop()

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


# --- the tree ---------------------------------------------------------------------------------------------------------


def test_what_a_dead_service_leaves_is_killed_at_once(run):
    """The leader ends; what it started, also what hides in another session, must not stay."""

    async def main():
        hidden = "setsid sh -c '(setsid sleep 777 &) & sleep 777' &"
        guard = await Guard.start(run.spec(f"sleep 777 & {hidden} sleep 0.3; exit 3", grace=60))
        await until(lambda: len(run.alive(guards=False)) >= 5, "the tree")
        assert (await asyncio.wait_for(guard.wait(), DEADLINE)).code == 3  # long before the grace
        assert run.alive() == []

    asyncio.run(main())


def test_stop_waits_for_all_and_not_only_for_the_leader(run):
    """Dash ends at SIGTERM at once; its child still has the whole grace to clean up."""
    child = (
        "import signal, sys, time\n"
        "def end(*_):\n    time.sleep(0.5)\n    print('clean', flush=True)\n    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\nprint('up', flush=True)\nwhile True: time.sleep(60)"
    )

    async def main():
        command = f"{shlex.quote(sys.executable)} -c {shlex.quote(child)}; true"
        guard = await Guard.start(run.spec(command, stop_signal="SIGTERM", grace=10))
        await until(lambda: b"up\n" in run.log(), "the child")
        await guard.stop()
        assert run.log() == b"up\nclean\n"
        assert run.alive() == []

    asyncio.run(main())


def test_who_ignores_sigint_gets_sigterm_before_the_end(run):
    async def main():
        code = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('up'); time.sleep(777)"
        guard = await Guard.start(run.python(code))
        await until(lambda: b"up\n" in run.log(), "the service")
        assert (await guard.stop(grace=0.4)).reason == "killed by SIGTERM"

    asyncio.run(main())


STUBBORN = (
    "import signal, time\n"
    "for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)\n"
    "print('up', flush=True)\nwhile True: time.sleep(60)"
)


def test_who_ignores_all_is_killed_at_the_end_of_the_grace(run):
    async def main():
        guard = await Guard.start(run.python(STUBBORN))
        await until(lambda: b"up\n" in run.log(), "the service")
        begin = time.monotonic()
        assert (await guard.stop(grace=0.5)).reason == "killed by SIGKILL"
        assert time.monotonic() - begin >= 0.5

    asyncio.run(main())


ENDS_CLEANLY = "import time\ntry:\n    print('up')\n    time.sleep(777)\nfinally: print('end')"


def test_kill_and_a_shorter_grace_cut_a_stop_short(run):
    async def main():
        for shorten in (Guard.kill, lambda guard: guard.request_stop(0.1)):
            guard = await Guard.start(run.python(STUBBORN, name=f"n{id(shorten)}"))
            await until(lambda guard=guard: b"up\n" in run.log(guard.spec.name), "the service")
            guard.request_stop(600)
            shorten(guard)
            assert (await asyncio.wait_for(guard.wait(), DEADLINE)).reason == "killed by SIGKILL"
            guard.kill()  # too late, and harmless
            guard.request_stop()

    asyncio.run(main())


def test_a_later_stop_cannot_lengthen_the_grace(run):
    async def main():
        guard = await Guard.start(run.python(STUBBORN))
        await until(lambda: b"up\n" in run.log(), "the service")
        guard.request_stop(0.2)
        guard.request_stop(6000)
        assert (await asyncio.wait_for(guard.wait(), DEADLINE)).reason == "killed by SIGKILL"

    asyncio.run(main())


def test_a_suspended_service_can_be_stopped(run):
    async def main():
        guard = await Guard.start(run.python(ENDS_CLEANLY))
        await until(lambda: b"up\n" in run.log(), "the service")
        os.kill(guard.pid, signal.SIGSTOP)
        await asyncio.wait_for(guard.stop(grace=600), DEADLINE)
        assert b"end" in run.log()

    asyncio.run(main())


def test_service_does_not_inherit_ignored_or_blocked_signals(run):
    """As from `mika up &` in a script, where the shell lets SIGINT be ignored."""
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
    try:

        async def main():
            guard = await Guard.start(run.python("import time\nprint('up')\ntime.sleep(777)"))
            await until(lambda: b"up\n" in run.log(), "the service")
            status = Path(f"/proc/{guard.pid}/status").read_text(encoding="utf-8")
            assert "SigBlk:\t0000000000000000" in status
            assert int(status.split("SigIgn:")[1].split()[0], 16) & 0b11 == 0  # HUP, INT
            await guard.stop(grace=600)
            assert b"KeyboardInterrupt" in run.log()

        asyncio.run(main())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, old)


def test_ctrl_c_and_hangup_do_not_reach_the_guard_but_sigterm_stops_it(run):
    async def main():
        guard = await Guard.start(run.python(ENDS_CLEANLY))
        await until(lambda: b"up\n" in run.log(), "the service")
        os.kill(guard.guard_pid, signal.SIGINT)
        os.kill(guard.guard_pid, signal.SIGHUP)
        os.kill(guard.guard_pid, signal.SIGTERM)
        result = await asyncio.wait_for(guard.wait(), DEADLINE)
        assert not result.guard_lost
        assert b"end" in run.log()

    asyncio.run(main())


def test_kill_of_the_guard_takes_the_whole_tree(run):
    """PDEATHSIG takes the leader, the supervisor the group, the mark in the environment what left the group."""

    async def main():
        guard = await Guard.start(run.spec("sleep 777 & setsid sh -c '(setsid sleep 777 &) & sleep 777' & sleep 777"))
        await until(lambda: len(run.alive(guards=False)) >= 5, "the tree")
        os.kill(guard.guard_pid, signal.SIGKILL)
        result = await asyncio.wait_for(guard.wait(), DEADLINE)
        assert result.guard_lost
        assert result.code == -9
        assert result.left == ()
        assert run.alive() == []

    asyncio.run(main())


def test_kill_of_the_guard_takes_the_group_even_without_a_mark(run, monkeypatch):
    monkeypatch.setattr("launcher.supervisor.guard.kill_marked", lambda *_: ())

    async def main():
        guard = await Guard.start(run.spec("sleep 777 & sleep 777"))
        await until(lambda: len(run.alive(guards=False)) >= 3, "the tree")
        os.kill(guard.guard_pid, signal.SIGKILL)
        assert (await asyncio.wait_for(guard.wait(), DEADLINE)).guard_lost
        await until(lambda: not run.alive(), "the end of the group")

    asyncio.run(main())


def test_a_guard_that_hangs_does_not_hang_the_stop(run, monkeypatch):
    monkeypatch.setattr("launcher.supervisor.guard._REPORT_SECONDS", 0.3)

    async def main():
        guard = await Guard.start(run.spec("sleep 777 & sleep 777"))
        await until(lambda: len(run.alive(guards=False)) >= 3, "the tree")
        os.kill(guard.guard_pid, signal.SIGSTOP)
        assert (await asyncio.wait_for(guard.stop(grace=0.1), DEADLINE)).guard_lost
        assert run.alive() == []

    asyncio.run(main())


# --- the supervisor dies ----------------------------------------------------------------------------------------------

SUPERVISOR = """
import asyncio, json, os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from launcher.supervisor.guard import Guard, ServiceSpec
async def main():
    options = json.loads(sys.argv[1])
    folder = Path(options.pop("folder"))
    command = options.pop("command")
    guard = await Guard.start(ServiceSpec(
        name="svc", command=tuple(command) if isinstance(command, list) else command, cwd=folder,
        env=dict(os.environ), log_dir=folder / "logs", **options))
    print(guard.guard_pid, guard.pid, flush=True)
    await guard.wait()
asyncio.run(main())
"""


@contextlib.contextmanager
def supervisor(run, command, **options):
    import json

    argument = json.dumps({"folder": str(run.folder), "command": command, **options})
    marks = {"MIKA_RUN_ID": run.run_id, "MIKA_PROCESS": "svc", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR.format(root=str(ROOT)), argument],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | marks,
    )
    try:
        guard_pid, pid = map(int, process.stdout.readline().split())
        yield process, guard_pid, pid
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_uvicorn_reload_shuts_down_gracefully_when_the_supervisor_is_killed(run):
    (run.folder / "app.py").write_text(
        "async def app(scope, receive, send):\n"
        "    if scope['type'] == 'lifespan':\n"
        "        while True:\n"
        "            message = await receive()\n"
        "            await send({'type': message['type'] + '.complete'})\n"
        "            if message['type'] == 'lifespan.shutdown': return\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
        "    await send({'type': 'http.response.body', 'body': b'ok'})\n",
        encoding="utf-8",
    )
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "app:app", "--reload", "--port", str(port)]

    def answers() -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return answer.read() == b"ok"
        return False

    with supervisor(run, command, grace=DEADLINE) as (process, _, _):
        sync_until(answers, "uvicorn")
        tree = len(run.alive(guards=False))
        assert tree >= 3
        process.kill()
        process.wait()
        sync_until(lambda: not run.alive(), "the end of the tree")
    assert not answers()
    assert b"Application shutdown complete" in run.log()
    assert b"Stopping reloader process" in run.log()


def test_the_log_is_still_written_after_the_supervisor_died(run):
    code = (
        "import time\ntry:\n    print('up')\n    while True: time.sleep(1)\n"
        "except KeyboardInterrupt:\n    print('x' * 300_000)\n    time.sleep(0.2)\n    print('bye')"
    )
    with supervisor(run, [sys.executable, "-c", code]) as (process, _, _):
        sync_until(lambda: b"up\n" in run.log(), "the service")
        process.kill()
        process.wait()
        sync_until(lambda: not run.alive(), "the end of the tree")
    assert run.log() == b"up\n" + b"x" * 300_000 + b"\nbye\n"


def test_sweep_takes_what_a_killed_guard_and_supervisor_left(run):
    with supervisor(run, "(setsid sleep 777 &) ; setsid sleep 777 & sleep 777") as (process, guard_pid, pid):
        sync_until(lambda: len(run.alive(guards=False)) >= 5, "the tree")  # the supervisor has the mark here too
        process.kill()
        os.kill(guard_pid, signal.SIGKILL)
        process.wait()
        sync_until(lambda: pid not in {one.pid for one in run.alive()}, "the leader, which dies with its guard")
        assert len(run.alive()) >= 2
        assert sweep({"another run"}, patience=0) == []
        spared = run.alive()[0].pid
        killed = sweep({run.run_id}, exclude={spared}, patience=0)
        assert {one.name for one in killed} == {"svc"}
        assert [process.pid for process in run.alive()] == [spared]
        assert spared in {one.pid for one in sweep({run.run_id})}
    assert run.alive() == []


def test_sweep_lets_a_guard_finish_its_graceful_stop(run):
    code = "import time\ntry:\n    print('up')\n    time.sleep(777)\nfinally:\n    time.sleep(0.7)\n    print('clean')"
    with supervisor(run, [sys.executable, "-c", code]) as (process, _, _):
        sync_until(lambda: b"up\n" in run.log(), "the service")
        process.kill()
        process.wait()
        assert sweep({run.run_id}) == []
    assert b"clean" in run.log()
    assert run.alive() == []


# --- the log ----------------------------------------------------------------------------------------------------------


def test_log_is_byte_exact(run):
    """Both streams, in every kind of bytes and of chunk, end without a newline."""
    random.seed(3)
    parts = [
        b"\n", b"\r\n", b"\0", b"\xff\xfe\xd6\xd0", b"\x1b[31mred\x1b[0m", "\u2028\x85\x0b\x0c".encode(), b"plain",
    ]  # fmt: skip
    chunks = [b"".join(random.choices(parts, k=random.randint(1, 40))) for _ in range(3000)]
    chunks[1500:1500] = [b"z" * 10_000_000]
    chunks.append(b"no newline at the end")
    payload = run.folder / "payload"
    payload.write_bytes(b"".join(chunks))
    sizes = ",".join(str(len(chunk)) for chunk in chunks)
    (run.folder / "writer.py").write_text(
        "import os\ndata = memoryview(open('payload', 'rb').read())\nat = 0\n"
        f"for number, size in enumerate([{sizes}]):\n"
        "    end = at + size\n"
        "    while at < end:\n        at += os.write(1 + number % 2, data[at:end])\n",
        encoding="utf-8",
    )

    async def main():
        guard = await Guard.start(run.spec((sys.executable, "writer.py")))
        assert (await asyncio.wait_for(guard.wait(), DEADLINE)).code == 0

    asyncio.run(main())
    expected = payload.read_bytes()
    assert hashlib.sha256(run.log()).digest() == hashlib.sha256(expected).digest()
    follower = logs.Follower(run.folder / "logs", "svc")
    read = b""
    while lines := follower.poll():
        read += b"".join(line.data + b"\n" * line.ended for line in lines)
    read += b"".join(line.data for line in follower.flush())
    assert read == expected


def test_output_of_a_fast_end_is_complete(run):
    """What a process wrote right before it was killed still stands in the pipe."""

    async def main():
        for number in range(10):
            guard = await Guard.start(run.spec("head -c 60000 /dev/zero; kill -9 $$", name=f"n{number}"))
            await guard.wait()
            assert len(run.log(f"n{number}")) == 60_000

    asyncio.run(main())


def test_restart_continues_the_log_and_the_reader_sees_two_lines(run):
    async def main():
        for word in ("first", "second"):
            await (await Guard.start(run.spec(("printf", word)))).wait()

    asyncio.run(main())
    assert run.log() == b"firstsecond"
    assert [line.data for line in logs.read_tail(run.folder / "logs", "svc", 9)] == [b"first", b"second"]


def test_log_stays_within_its_bound(run):
    async def main():
        command = "i=0; while [ $i -lt 40 ]; do head -c 10000 /dev/zero; echo $i; i=$((i+1)); done"
        guard = await Guard.start(run.spec(command, log_max_bytes=100_000))
        await guard.wait()

    asyncio.run(main())
    assert sum(path.stat().st_size for path in (run.folder / "logs").iterdir()) <= 100_000
    assert run.log().endswith(b"39\n")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to mount a small tmpfs")
def test_full_disk_stops_the_log_and_not_the_service(run):
    target = run.folder / "logs"
    target.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(target)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("cannot mount a tmpfs here")
    try:
        ballast = target / "ballast"
        ballast.write_bytes(b"b" * 32_000)

        async def main():
            events = []
            command = (
                "head -c 300000 /dev/zero; touch wrote; while [ -e ../wait ] || [ -e wait ]; do sleep 0.02; done; "
                "echo; echo after"
            )
            (run.folder / "wait").touch()
            guard = await Guard.start(run.spec(command), events.append)
            await until((run.folder / "wrote").exists, "the service to write more than fits")
            await until(lambda: events, "the event")
            assert events == [LogFailed("No space left on device")]
            ballast.unlink()
            (run.folder / "wait").unlink()
            assert (await asyncio.wait_for(guard.wait(), DEADLINE)).code == 0
            assert isinstance(events[1], LogRecovered)
            assert len(events) == 3  # and the exit
            log = run.log()
            assert log.endswith(b"\nafter\n")
            assert len(log) + events[1].lost == 300_000 + len(b"\nafter\n")

        asyncio.run(main())
    finally:
        subprocess.run(["umount", "-l", str(target)], check=True)


def test_environment_is_in_no_command_line_and_the_spec_is_complete(run):
    async def main():
        secret = "s3cret-" + uuid.uuid4().hex
        guard = await Guard.start(run.spec("echo \"$TOKEN\" '中文'; pwd; sleep 777", env={"TOKEN": secret}))
        await until(lambda: run.log().count(b"\n") == 2, "the output")
        for process in run.alive():
            assert secret not in " ".join(process.cmdline())
        assert secret.encode() not in Path(f"/proc/{guard.guard_pid}/environ").read_bytes()
        assert run.log() == f"{secret} 中文\n{run.folder}\n".encode()
        await guard.stop()

    asyncio.run(main())
