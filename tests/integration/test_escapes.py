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
from collections.abc import Callable, Iterator, Sequence
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
    # and the limit, as `su` does
    "limit": "resource.setrlimit(10, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))",
    "user": "os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)",
}
KINDS = [kind for kind in CHANGES if kind != "user" or os.geteuid() == 0]


@dataclass
class Escaped:
    """A stack with a process of each kind, and the daemons of those."""

    project: Project
    daemons: dict[str, psutil.Process]

    def guard(self, kind: str) -> psutil.Process:
        return psutil.Process(psutil.Process(self.project.pid(kind)).ppid())

    def kill_ours(self) -> None:
        """The supervisor and each guard, all at once."""
        guards = [self.guard(kind) for kind in self.daemons]
        kill_at_once([supervisor_of(self.project), *guards])
        poll_until(lambda: not any(map(lives, guards)), DEADLINE, "the end of the guards")
        assert all(map(lives, self.daemons.values())), "or this test shows nothing"


@contextlib.contextmanager
def escaped(
    project: Callable[..., Project],
    kinds: Sequence[str] = KINDS,
    up: Callable[[Project], object] = Project.up,
    **options: str,
) -> Iterator[Escaped]:
    seconds = {kind: f"0.{uuid.uuid4().int}" for kind in kinds}  # nobody else has this command line
    scripts = {kind: ESCAPES.replace("SECONDS", seconds[kind]).replace("CHANGES", CHANGES[kind]) for kind in kinds}
    this = project(scripts=scripts, **options)
    up(this)

    def find() -> dict[str, psutil.Process]:
        last_words = {process: _cmdline(process)[-1:] for process in psutil.process_iter()}
        return {kind: process for kind in kinds for process, words in last_words.items() if words == [seconds[kind]]}

    try:
        daemons = poll_until(lambda: len(found := find()) == len(kinds) and found, DEADLINE, "the daemons") or {}
        if "limit" in kinds:
            poll_until(lambda: daemons["limit"].pid in recorded(this), DEADLINE, "the record")
        yield Escaped(this, daemons)
    finally:
        for process in find().values():
            process.kill()


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def recorded(this: Project) -> list[int]:
    return [entry["pid"] for entry in ProjectDir(this.folder).read_trees()]


def test_a_killed_guard_leaves_nothing_and_the_record_is_private_and_goes_with_the_run(project):
    with escaped(project) as run:
        this = run.project
        file = this.folder / ".mika" / "run" / "trees.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert set(recorded(this)) == {*map(this.pid, KINDS), run.daemons["limit"].pid}
        for kind, daemon in run.daemons.items():
            run.guard(kind).kill()
            poll_until(lambda one=daemon: not lives(one), AT_ONCE, f"the end of the daemon: {kind}", step=0.02)
            unit = this.wait_unit(kind, "replaced", lambda unit: unit["restarts"] == 1 and unit["state"] == "ready")
            assert "guard" in unit["last_exit"]["reason"]
        second = poll_until(lambda: set(recorded(this)) - set(map(this.pid, KINDS)), DEADLINE, "the second daemon")
        this.ok("down")
        assert not file.exists()
        assert not any(map(psutil.pid_exists, second))


@pytest.mark.parametrize("command", ["up -d", "down", "status", "doctor --fix"])
def test_what_a_double_kill_leaves_is_found_by_the_next_command(project, command):
    with escaped(project) as run:
        run.kill_ours()
        named = {f"(pid {daemon.pid})" for daemon in run.daemons.values()}
        if command == "doctor --fix":
            asked = run.project.mika("doctor").text
            assert all(name in asked for name in named), asked
            assert all(map(lives, run.daemons.values())), "it has only asked"
        result = run.project.mika(*command.split(), process=True)
        for kind, daemon in run.daemons.items():
            assert not lives(daemon), kind
            assert f"pid {daemon.pid}" in result.text, f"{kind}: {result}"


def restricted(this: Project, *args: str) -> subprocess.CompletedProcess[str]:
    """Run mika so that it may not kill what belongs to another user."""
    command = [*MAY_NOT_KILL, sys.executable, "-m", "mika", "-C", str(this.folder), *args]
    return subprocess.run(command, env=this.environ(), capture_output=True, text=True, timeout=90, check=False)


@contextlib.contextmanager
def untouchable(project: Callable[..., Project], name: str) -> Iterator[Escaped]:
    """At the end the daemon is killed, and then nothing is left."""
    if os.geteuid() != 0 or not shutil.which(MAY_NOT_KILL[0]):
        pytest.skip("needs root, and setpriv of util-linux")
    up, toml = lambda this: restricted(this, "up", "-d"), '[process.user]\nrestart = "never"\n'
    with escaped(project, ["user"], up, toml=toml, name=name) as run:
        yield run
        run.daemons["user"].kill()
        poll_until(lambda: not lives(run.daemons["user"]), DEADLINE, "its end")
        assert restricted(run.project, "down").returncode == 0


def test_what_cannot_be_ended_is_named(project):
    with untouchable(project, "guard") as run:
        this, pid = run.project, run.daemons["user"].pid
        run.guard("user").kill()
        this.wait_unit("user", "that it names it", lambda unit: f"pid {pid}" in unit["detail"])
        for _ in range(2):  # also the second time, when there is no supervisor
            down = restricted(this, "down", "--json")
            assert (down.returncode, json.loads(down.stdout)["left"]) == (1, [pid]), down
        status, up = restricted(this, "status"), restricted(this, "up", "-d")
        assert (status.returncode, up.returncode) == (3, 1)
        for text in (status.stderr, up.stderr, restricted(this, "doctor").stdout):
            assert f"pid {pid}" in text, text
        assert f"sudo kill -9 {pid}" in status.stderr
    with untouchable(project, "both") as run:
        run.kill_ours()
        pid = run.daemons["user"].pid
        down = restricted(run.project, "down", "--json")
        assert (down.returncode, json.loads(down.stdout)["left"]) == (1, [pid]), down
        assert f"sudo kill -9 {pid}" in restricted(run.project, "status").stderr


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
