"""What mika says about starting and stopping is true, also where a start or a stop is impossible."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.kit.machine import DEADLINE, poll_until, posix_only
from tests.kit.programs import SLEEP
from tests.kit.project import Project

pytestmark = posix_only

# Like `sudo something`: another user's from then on, and deaf to what stops a program.
ANOTHER_USERS = """
import os, signal, time
for name in ('SIGINT', 'SIGTERM'):
    signal.signal(getattr(signal, name), signal.SIG_IGN)
print('here', flush=True)
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
time.sleep(600)
"""
MAY_NOT_KILL = ("setpriv", "--bounding-set=-kill,-sys_ptrace")
"""Before a command: it may signal only processes of its own user, and read only their environment, as everybody."""


@pytest.fixture
def restricted(project: Callable[..., Project]) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Runs mika with one process of another user, in a way that it may not kill it."""
    if os.geteuid() != 0 or not shutil.which(MAY_NOT_KILL[0]):
        pytest.skip("needs root, and setpriv of util-linux")
    this = project(scripts={"s": ANOTHER_USERS}, toml='[process.s]\ngrace = 0.5\nrestart = "never"\n')

    def mika(*args: str) -> subprocess.CompletedProcess[str]:
        command = [*MAY_NOT_KILL, sys.executable, "-m", "mika", "-C", str(this.folder), *args]
        return subprocess.run(command, env=this.environ(), capture_output=True, text=True, timeout=90, check=False)

    yield mika
    for process in this.alive():
        with contextlib.suppress(psutil.Error):
            process.kill()


def processes() -> list[int]:
    """The pids of the program that cannot be killed."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "uids"])
        if process.info["uids"].real == 65534 and "s.py" in (process.info["cmdline"] or [])
    ]


def test_what_cannot_be_stopped_is_named_and_gets_no_second_copy(restricted):
    assert restricted("up", "-d").returncode == 0
    poll_until(processes, DEADLINE, "the program of another user")
    pids = processes()
    again = restricted("restart", "s")
    assert again.returncode == 1, again
    assert str(pids[0]) in again.stderr
    assert "sudo kill -9" in again.stderr
    assert restricted("start", "s").returncode == 1, "not beside it"
    assert processes() == pids
    down = restricted("down", "--json")
    assert down.returncode == 1, down
    assert json.loads(down.stdout)["left"] == pids
    assert processes() == pids
    up = restricted("up", "-d")
    assert up.returncode == 1, "not beside what an earlier run left, either"
    assert f"sudo kill -9 {pids[0]}" in up.stderr
    psutil.Process(pids[0]).kill()
    assert restricted("up", "-d").returncode == 0
    poll_until(processes, DEADLINE, "the program of another user")
    for pid in processes():
        psutil.Process(pid).kill()
    assert restricted("down").returncode == 0


def test_too_many_open_files_are_a_reason_to_wait_and_not_the_end(project):
    """Each process costs three descriptors; with a low limit some cannot start, and say so."""
    names = [f"p{number}" for number in range(30)]
    this = project("".join(f"{name}: python p.py\n" for name in names))
    this.write("p.py", SLEEP)
    command = f"ulimit -n 60; exec {sys.executable} -m mika -C {this.folder} up -d --timeout 4"
    shell = ["/bin/sh", "-c", command]
    done = subprocess.run(shell, env=this.environ(), capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 1, done
    assert "Too many open files" in done.stderr
    assert "Traceback" not in done.stderr + this.log("mika")


def test_a_process_revives_when_there_are_descriptors_again(project):
    names = [f"p{number}" for number in range(12)]
    this = project("".join(f"{name}: python p.py\n" for name in names))
    this.write("p.py", SLEEP)
    this.up()
    supervisor = this.status()["supervisor"]["pid"]
    used = psutil.Process(supervisor).num_fds()
    limits = ["prlimit", f"--pid={supervisor}", f"--nofile={used}:4096"]
    if not shutil.which("prlimit"):
        pytest.skip("needs prlimit")
    subprocess.run(limits, check=True)
    psutil.Process(this.pid("p0")).kill()
    poll_until(lambda: "Too many open files" in this.unit("p0")["detail"], DEADLINE, "the reason")
    subprocess.run(["prlimit", f"--pid={supervisor}", "--nofile=4096:4096"], check=True)
    this.ok("restart", "p0")
    assert this.unit("p0")["state"] == "ready"
