"""Nothing survives: `kill -9` of the supervisor, of each guard, and of all of them at once, under every kind of tree.

`python -m tests.integration.test_orphans --times 10` does it ten times each and prints what it saw.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from mika.project.folder import ProjectDir

from tests.kit.machine import DEADLINE, FreePort, poll_until, takes_long, telling
from tests.kit.programs import ASGI
from tests.kit.project import Project
from tests.kit.reaper import marks

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="subreaper and PDEATHSIG; tests/windows has the Job")

GRACE = 3.0
LIMIT = GRACE + 2.0  # s, in which nothing may be left

# A daemon as in the textbooks: two forks, a session of its own, nothing inherited but the environment.
FORKED = """
import os, signal, sys, time
ready, told = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for name in sys.argv[1:]:
            signal.signal(getattr(signal, name), signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        os.write(told, b'.')
        time.sleep(600)
    os._exit(0)
os.read(ready, 1)
print('complete', flush=True)
time.sleep(600)
"""
LEAF = "import time\nprint('complete', flush=True)\ntime.sleep(600)\n"
PROCFILE = """
reload: python -m uvicorn app:app --reload --port $WEB_PORT
shell: sh -c 'sleep 600 & sleep 600 & python leaf.py; true'
forked: python forked.py
session: (setsid sh -c 'setsid sleep 600 & sleep 600' > /dev/null 2>&1 &); python leaf.py; true
stubborn: python forked.py SIGINT SIGTERM SIGHUP
"""
SIZES = {"reload": 3, "shell": 4, "forked": 2, "session": 5, "stubborn": 2, "daemons": 4}
"""How many processes each tree has at least, its guard not counted. Of uvicorn: a reloader, its child, and the resource
tracker of multiprocessing."""


@contextlib.contextmanager
def forest(parent: Path, procfile: str = PROCFILE) -> Iterator[Project]:
    """A stack with one tree of each kind, made but not started."""
    port = FreePort()
    names = [line.partition(":")[0] for line in procfile.split("\n") if line]
    ready = {"reload": f"http://127.0.0.1:{port.number}/"}
    toml = "".join(f'[process.{name}]\ngrace = {GRACE}\nready = "{ready.get(name, "none")}"\n' for name in names)
    try:
        with Project(parent, procfile, toml=toml, env={"WEB_PORT": str(port.number)}) as this:
            for name, code in {"app": ASGI, "forked": FORKED, "leaf": LEAF}.items():
                this.write(f"{name}.py", code)
            yield this
    finally:
        port.release()


def grow(this: Project) -> tuple[dict[str, list[psutil.Process]], dict[str, psutil.Process]]:
    """Start it, unless it is up; returns the processes of each tree, and each guard."""
    this.up()

    def look() -> tuple[dict[str, list[psutil.Process]], dict[str, psutil.Process]] | None:
        trees, guards = defaultdict(list), {}
        for process in this.alive():
            environ = process.environ()
            if "MIKA_GUARD" in environ:
                guards[environ["MIKA_GUARD"]] = process
            elif "MIKA_PROCESS" in environ:
                trees[environ["MIKA_PROCESS"]].append(process)
        complete = all(len(trees[n]) >= SIZES[n] and (n == "reload" or "complete" in this.log(n)) for n in guards)
        return (trees, guards) if complete and guards else None

    return poll_until(look, DEADLINE, "complete trees")


def supervisor_of(this: Project) -> psutil.Process:
    return psutil.Process(this.status()["supervisor"]["pid"])


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill_at_once(processes: list[psutil.Process]) -> None:
    """So that none of them can react to the end of another one."""
    for process in processes:
        process.suspend()
    for process in processes:
        process.kill()


def seconds_until_gone(look: Callable[[], list[psutil.Process]]) -> float:
    began = time.monotonic()
    poll_until(lambda: not look(), LIMIT, "that nothing is left", step=0.02)
    return time.monotonic() - began


# --- what is killed ---------------------------------------------------------------------------------------------------


def kill_supervisor(this: Project) -> list[float]:
    grow(this)
    supervisor_of(this).kill()
    return [seconds_until_gone(this.alive)]


def kill_each_guard(this: Project) -> list[float]:
    """One after the other: its tree goes and comes back, and no other tree is touched."""
    trees, guards = grow(this)
    taken = []
    for name, guard in guards.items():
        guard.kill()
        taken.append(seconds_until_gone(lambda old=trees[name]: list(filter(lives, old))))
        unit = this.wait_unit(name, "replaced", lambda unit: unit["restarts"] == 1 and unit["state"] == "ready")
        assert "guard" in unit["last_exit"]["reason"], unit
    assert [unit["restarts"] for unit in this.status()["processes"]] == [1] * len(guards)
    return taken


def kill_all(this: Project, *sweeper: str) -> list[float]:
    """`sweeper`: the command that finds what is left."""
    _, guards = grow(this)
    kill_at_once([supervisor_of(this), *guards.values()])
    assert this.alive(), "what has a session of its own is there until the sweep, or this test shows nothing"
    result = this.mika(*sweeper, process=True)
    assert "pid" in result.text, str(result)  # it says what it ended
    if sweeper[0] != "up":
        assert not this.alive(), [process.cmdline() for process in this.alive()]
    else:
        assert not {process.pid for process in this.alive()} & {process.pid for process in guards.values()}
    return [result.seconds]


# Each leaves nothing, or a stack for the next one. (What status and doctor find, `test_escapes.py` shows.)
CASES: dict[str, Callable[[Project], list[float]]] = {
    "all, then up": lambda this: kill_all(this, "up", "-d"),
    "each guard": kill_each_guard,
    "all, then down": lambda this: kill_all(this, "down"),
    "supervisor": kill_supervisor,
}


@takes_long
@pytest.mark.timeout(240)
def test_nothing_survives(tmp_path):
    with forest(tmp_path) as this:
        for case, kill in CASES.items():
            with telling(lambda one=case: one):
                kill(this)


# --- what must not be touched -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def bystander(env: dict[str, str], pid: int = 0) -> Iterator[subprocess.Popen[bytes] | None]:
    """A process with this environment; with `pid` one that gets this number, or None where that cannot be had."""
    process = None
    last = Path("/proc/sys/kernel/ns_last_pid")
    for _ in range(100):
        if pid:
            try:
                last.write_text(str(pid - 1), encoding="ascii")
            except OSError:  # without privileges
                break
        process = subprocess.Popen(["sleep", "600"], env={"PATH": os.environ["PATH"], **marks(), **env})
        if not pid or process.pid == pid:
            break
        process.kill()
        process.wait()
        process = None
    try:
        yield process
    finally:
        if process is not None:
            process.kill()
            process.wait()


def crashed(this: Project) -> tuple[str, list[int]]:
    """A stack of which nothing runs and all files are left; returns its run id and its old pids."""
    trees, guards = grow(this)
    supervisor = supervisor_of(this)
    state = ProjectDir(this.folder).read_state()
    assert state is not None
    dead = [supervisor, *guards.values(), *(process for tree in trees.values() for process in tree)]
    kill_at_once(dead)
    poll_until(lambda: not any(map(psutil.pid_exists, [process.pid for process in dead])), DEADLINE, "free pids")
    return state.run_id, [process.pid for process in dead]


SHELL = "shell: sh -c 'sleep 600 & sleep 600 & python leaf.py; true'\n"
# The first one has no environment. It carries no mark; but as long as a guard lives, it is below it.
DAEMONS = (
    "daemons: (env -i setsid sleep 611 > /dev/null 2>&1 &); (setsid sleep 600 &); (sleep 600 &); python leaf.py; true\n"
)


def test_only_the_exact_mark_of_this_folder_is_swept_whoever_has_the_pids_in_its_files(tmp_path):
    with forest(tmp_path / "one", SHELL) as this, forest(tmp_path / "two", DAEMONS) as other:
        guard = grow(other)[1]["daemons"]
        run_id, pids = crashed(this)
        environments = [
            {},
            {"MIKA_RUN_ID": ""},
            {"MIKA_RUN_ID": "f" * 16, "MIKA_PROCESS": "shell"},  # a shell in another project's process
            {"MIKA_RUN_ID": run_id + "0", "MIKA_PROCESS": "shell"},
            {"MIKA_RUN_ID": run_id[:-1], "MIKA_PROCESS": "shell"},
            {"OLD_MIKA_RUN_ID": run_id, "NOTE": f"MIKA_RUN_ID={run_id}"},
        ]
        with contextlib.ExitStack() as stack:
            # What stands in our files are numbers of processes that ended; others have them now (if we may choose).
            reused = [stack.enter_context(bystander({}, pid)) for pid in pids]
            spared = [process for process in reused if process is not None]
            spared += [one for env in environments if (one := stack.enter_context(bystander(env)))]
            ours = stack.enter_context(bystander({"MIKA_RUN_ID": run_id, "MIKA_PROCESS": "shell"}))
            assert ours is not None
            told = asked_from_a_terminal_of_the_dead_run(this, run_id)
            assert f"pid {ours.pid}" in told, told
            assert ours.wait(DEADLINE) < 0, "or this test shows nothing"
            this.up()
            this.ok("down")
            this.ok("down")
            assert [process.poll() for process in spared] == [None] * len(spared)
            assert len(spared) > len(environments) or None in reused
        assert other.status()["state"] == "ready"
        assert grow(other)[1]["daemons"].pid == guard.pid
        a_daemon_without_an_environment_ends_with_the_supervisor(other, guard)


def asked_from_a_terminal_of_the_dead_run(this: Project, run_id: str) -> str:
    """A terminal that was opened from a process of that run carries its mark, and is not swept."""
    command = f'"{sys.executable}" -m mika -C "{this.folder}" status; echo code $?'
    env = this.environ(MIKA_RUN_ID=run_id, MIKA_PROCESS="shell")
    done = subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.endswith("code 3\n"), done
    return done.stderr


def a_daemon_without_an_environment_ends_with_the_supervisor(this: Project, guard: psutil.Process) -> None:
    def look() -> list[psutil.Process]:
        return [process for process in guard.children(recursive=True) if process.cmdline() == ["sleep", "611"]]

    daemon = poll_until(look, DEADLINE, "the daemon")[0]
    assert "MIKA_RUN_ID" not in daemon.environ()
    supervisor_of(this).kill()
    try:
        seconds_until_gone(lambda: [*this.alive(), *filter(lives, [daemon])])
    finally:
        with contextlib.suppress(psutil.Error):
            daemon.kill()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.integration.test_orphans", description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    times = parser.parse_args().times
    print(f"{PROCFILE.strip()}\ngrace {GRACE:g} s, limit {LIMIT:g} s")
    for case, kill in CASES.items():
        taken: list[float] = []
        for _ in range(times):
            with tempfile.TemporaryDirectory(prefix="mika-orphans-") as folder, forest(Path(folder)) as this:
                taken += kill(this)
        what = "the command took" if case.startswith("all") else "gone after"
        print(f"{case}: {len(taken)} kills, 0 left, {what} {min(taken):.2f} to {max(taken):.2f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
