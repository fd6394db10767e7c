"""What a killed run leaves is found, whatever it has done to its title, environment, session, user or limits."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import pytest
from mika.project.folder import ProjectDir
from mika.supervisor.survivors import identify

from tests.integration.test_orphans import kill_at_once, lives, supervisor_of
from tests.integration.test_truth import MAY_NOT_KILL
from tests.kit.machine import DEADLINE, poll_until
from tests.kit.project import Project
from tests.kit.reaper import marks

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and PDEATHSIG; tests/windows has the Job")

AT_ONCE = 3.0  # s
# `changes` is run in a grandchild that is a daemon; then it has another title and nothing in its environment.
ESCAPES = """
import os, pathlib, resource, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        CHANGES
        os.execve('/bin/sleep', ['[kworker/u8:1]', '600', 'SECONDS'], {})
    os._exit(0)
os.wait()
print('here', flush=True)
time.sleep(600)
"""
CHANGES = {
    "environment": "",
    # as `su` does
    "limit, too": "resource.setrlimit(10, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))",
    "user": "os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)",
}
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
KINDS = [pytest.param(kind, marks=ROOT_ONLY if kind == "user" else ()) for kind in CHANGES]


@dataclass
class Escaped:
    """A stack of one process, and its daemon."""

    project: Project
    guard: psutil.Process
    daemon: psutil.Process

    def kill_both(self) -> None:
        kill_at_once([supervisor_of(self.project), self.guard])
        poll_until(lambda: not lives(self.guard), DEADLINE, "the end of the guard")
        assert lives(self.daemon), "or this test shows nothing"


@contextlib.contextmanager
def escaped(this: Project, kind: str, up: Callable[[], object] | None = None) -> Iterator[Escaped]:
    seconds = f"0.{uuid.uuid4().int}"  # nobody else has this command line
    this.write("s.py", ESCAPES.replace("SECONDS", seconds).replace("CHANGES", CHANGES[kind]))
    (up or this.up)()

    def daemons() -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if _cmdline(process)[-1:] == [seconds]]

    try:
        daemon = poll_until(daemons, DEADLINE, "the daemon")[0]
        guard = psutil.Process(psutil.Process(this.pid("s")).ppid())
        if kind == "limit, too":
            poll_until(lambda: daemon.pid in recorded(this), DEADLINE, "the record")
        yield Escaped(this, guard, daemon)
    finally:
        for process in daemons():
            process.kill()


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def recorded(this: Project) -> list[int]:
    return [entry["pid"] for entry in ProjectDir(this.folder).read_trees()]


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_guard_leaves_nothing(project, kind):
    this = project(scripts={"s": ""})
    with escaped(this, kind) as run:
        run.guard.kill()
        poll_until(lambda: not lives(run.daemon), AT_ONCE, "the end of the daemon", step=0.02)
        unit = this.wait_unit("s", "replaced", lambda unit: unit["restarts"] == 1 and unit["state"] == "ready")
        assert "guard" in unit["last_exit"]["reason"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", ["up -d", "down", "status", "doctor --fix"])
def test_what_a_double_kill_leaves_is_found_by_the_next_command(project, command, kind):
    this = project(scripts={"s": ""})
    with escaped(this, kind) as run:
        run.kill_both()
        result = this.mika(*command.split(), process=True)
        assert not lives(run.daemon)
        assert f"pid {run.daemon.pid}" in result.text, str(result)


def test_doctor_names_what_a_double_kill_left(project):
    this = project(scripts={"s": ""})
    with escaped(this, "environment") as run:
        run.kill_both()
        assert f"(pid {run.daemon.pid})" in this.mika("doctor").text
        assert lives(run.daemon)
        this.ok("down")


@pytest.mark.parametrize("killed", ["guard", "both"])
def test_what_cannot_be_ended_is_named(project, killed):
    """The daemon belongs to another user, and mika may not kill it."""
    if os.geteuid() != 0 or not shutil.which(MAY_NOT_KILL[0]):
        pytest.skip("needs root, and setpriv of util-linux")
    this = project(scripts={"s": ""}, toml='[process.s]\nrestart = "never"\n')

    def mika(*args: str) -> subprocess.CompletedProcess[str]:
        command = [*MAY_NOT_KILL, sys.executable, "-m", "mika", "-C", str(this.folder), *args]
        return subprocess.run(command, env=this.environ(), capture_output=True, text=True, timeout=90, check=False)

    with escaped(this, "user", lambda: mika("up", "-d")) as run:
        if killed == "both":
            run.kill_both()
        else:
            run.guard.kill()
            this.wait_unit("s", "that it names it", lambda unit: f"pid {run.daemon.pid}" in unit["detail"])
        for _ in range(2):  # also the second time
            down = mika("down", "--json")
            assert (down.returncode, json.loads(down.stdout)["left"]) == (1, [run.daemon.pid]), down
        status, up = mika("status"), mika("up", "-d")
        assert (status.returncode, up.returncode) == (3, 1)
        for text in (status.stderr, up.stderr, mika("doctor").stdout):
            assert f"pid {run.daemon.pid}" in text, text
        assert f"sudo kill -9 {run.daemon.pid}" in status.stderr
        run.daemon.kill()
        poll_until(lambda: not lives(run.daemon), DEADLINE, "its end")
        assert mika("down").returncode == 0


def test_the_record_is_private_and_goes_with_the_run(project):
    this = project(scripts={"s": ""})
    with escaped(this, "limit, too") as run:
        file = this.folder / ".mika" / "run" / "trees.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert set(recorded(this)) == {this.pid("s"), run.daemon.pid}
        this.ok("down")
        assert not file.exists()
        assert not lives(run.daemon)


def at_least_two(processes: list[psutil.Process]) -> list[psutil.Process]:
    return processes if len(processes) > 1 else []


@pytest.mark.parametrize("is_same", [True, False], ids=["the same process", "another one with its pid"])
def test_a_recorded_pid_counts_only_with_its_start_time(project, is_same):
    """A session and its group have the pid of their leader: with another leader they are another session."""
    this = project(scripts={"s": ""})
    folder = ProjectDir(this.folder)
    folder.create()
    command = ["/bin/sh", "-c", "sleep 600 & sleep 600 & wait"]
    with subprocess.Popen(command, env=marks(), start_new_session=True) as leader:
        processes = [psutil.Process(leader.pid)]
        try:
            processes += poll_until(lambda: at_least_two(processes[0].children()), DEADLINE, "the session")
            entry = asdict(identify([leader.pid])[0])
            folder.add_mark("f" * 16)
            folder.write_trees([entry if is_same else entry | {"start": entry["start"] + "0"}])
            this.mika("status", process=True)
            assert [lives(process) for process in processes] == [not is_same] * 3
            assert not folder.has_leftovers()
        finally:
            for process in processes:
                with contextlib.suppress(psutil.Error):
                    process.kill()


def test_pid_1_reaps_what_a_killed_guard_leaves(project, tmp_path):
    """In a container the supervisor is PID 1, so it inherits each orphan."""
    enter = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if not shutil.which("unshare") or subprocess.run([*enter, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make a PID namespace")
    this = project(scripts={"s": ESCAPES.replace("SECONDS", "0.0").replace("CHANGES", CHANGES["environment"])})
    output = tmp_path / "output"
    command = [*enter, sys.executable, "-m", "mika", "-C", str(this.folder), "up"]
    with output.open("wb") as file:
        unshare = subprocess.Popen(command, env=this.environ(), stdout=file, stderr=file, start_new_session=True)
    try:
        for restarts in range(3):
            unit = this.wait_unit("s", "started", lambda u, n=restarts: u["restarts"] == n and u["state"] == "ready")
            supervisor = poll_until(lambda: psutil.Process(unshare.pid).children(), DEADLINE, "PID 1")[0]
            assert this.status()["supervisor"]["pid"] == 1
            assert unit["pid"]
            guard = next(child for child in supervisor.children() if lives(child) and child.name() != "sleep")
            guard.kill()
        this.wait_unit("s", "started", lambda u: u["restarts"] == 3 and u["state"] == "ready")
        children = [(child.status(), child.name()) for child in supervisor.children()]
        assert len(children) == 1, f"a guard: {children}"
    finally:
        unshare.kill()  # and with it, by --kill-child, the namespace
        unshare.wait()
        for path in Path(this.folder / ".mika" / "run").glob("*.json"):
            path.unlink()  # pids of that namespace
