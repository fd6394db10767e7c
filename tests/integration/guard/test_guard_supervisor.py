"""A guard whose supervisor is killed: the service ends gracefully, and a sweep takes what is left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request

from mika.supervisor.sweep import sweep

from tests.kit.machine import DEADLINE, ROOT, free_port, poll_until, posix_only

pytestmark = posix_only


SUPERVISOR = """
import asyncio, json, os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from mika.supervisor.guard import Guard, ServiceSpec
async def main():
    options = json.loads(sys.argv[1])
    folder = Path(options.pop("folder"))
    command = options.pop("command")
    guard = await Guard.start(ServiceSpec(
        name="svc", command=tuple(command) if isinstance(command, list) else ("/bin/sh", "-c", command), cwd=folder,
        env=dict(os.environ), log_dir=folder / "logs", **options))
    print(guard.guard_pid, guard.pid, flush=True)
    await guard.wait()
asyncio.run(main())
"""


@contextlib.contextmanager
def supervisor(run, command, **options):
    argument = json.dumps({"folder": str(run.folder), "command": command, **options})
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR.format(root=str(ROOT / "launcher")), argument],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | run.marks(),
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
    with free_port() as port:
        command = [sys.executable, "-m", "uvicorn", "app:app", "--reload", "--port", str(port)]

        def answers() -> bool:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                return answer.read() == b"ok"
            return False

        with supervisor(run, command, grace=DEADLINE) as (process, _, _):
            poll_until(answers, DEADLINE, "uvicorn")
            assert len(run.alive(guards=False)) >= 3
            process.kill()
            process.wait()
            poll_until(lambda: not run.alive(), DEADLINE, "the end of the tree")
        assert not answers()
    assert b"Application shutdown complete" in run.log()
    assert b"Stopping reloader process" in run.log()


def test_the_log_is_still_written_after_the_supervisor_died(run):
    code = (
        "import time\ntry:\n    print('up')\n    while True: time.sleep(1)\n"
        "except KeyboardInterrupt:\n    print('x' * 300_000)\n    time.sleep(0.2)\n    print('bye')"
    )
    with supervisor(run, [sys.executable, "-c", code]) as (process, _, _):
        poll_until(lambda: b"up\n" in run.log(), DEADLINE, "the service")
        process.kill()
        process.wait()
        poll_until(lambda: not run.alive(), DEADLINE, "the end of the tree")
    assert run.log() == b"up\n" + b"x" * 300_000 + b"\nbye\n"


def test_sweep_takes_what_a_killed_guard_and_supervisor_left(run):
    with supervisor(run, "(setsid sleep 777 &) ; setsid sleep 777 & sleep 777") as (process, guard_pid, pid):
        # The supervisor has the mark here, too.
        poll_until(lambda: len(run.alive(guards=False)) >= 5, DEADLINE, "the tree")
        process.kill()
        os.kill(guard_pid, signal.SIGKILL)
        process.wait()
        poll_until(lambda: pid not in {one.pid for one in run.alive()}, DEADLINE, "the leader, gone with its guard")
        assert len(run.alive()) >= 2
        assert sweep({"another run"}, patience=0).killed == []
        killed = sweep({run.run_id}, patience=0).killed
        assert {process.name for process in killed} == {"svc"}
    assert run.alive() == []


def test_sweep_lets_a_guard_finish_its_graceful_stop(run):
    code = "import time\ntry:\n    print('up')\n    time.sleep(777)\nfinally:\n    time.sleep(0.7)\n    print('clean')"
    with supervisor(run, [sys.executable, "-c", code]) as (process, _, _):
        poll_until(lambda: b"up\n" in run.log(), DEADLINE, "the service")
        process.kill()
        process.wait()
        assert sweep({run.run_id}).killed == []
    assert b"clean" in run.log()
    assert run.alive() == []
