"""The kit itself: what it promises to notice, it notices."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys

import psutil
import pytest

from tests.kit.machine import DEADLINE, ROOT, free_port, poll_until, posix_only, require_or_skip, takes_long
from tests.kit.project import Project
from tests.kit.reaper import has_mark

SLEEP = "import time; time.sleep(600)"


def leave_behind(project: Project) -> int:
    """A process that carries the marks of the project and that no supervisor knows; its pid."""
    stray = subprocess.Popen([sys.executable, "-c", SLEEP], env=project.environ(), start_new_session=True)
    stray.returncode = 0  # the kit reaps it, so that Popen has nothing to complain of
    poll_until(project.alive, 10, "the stray process")
    return stray.pid


def test_what_is_left_behind_fails_the_test_and_is_killed(tmp_path):
    project = Project(tmp_path, "a: a", patience=0.1)
    pid = leave_behind(project)
    with pytest.raises(AssertionError, match=rf"left behind.*pid {pid} .*time\.sleep\(600\)"):
        project.__exit__(None, None, None)
    assert not psutil.pid_exists(pid)


def test_the_failure_of_the_test_itself_is_what_is_told(tmp_path):
    failure = ValueError("of the test")
    project = Project(tmp_path, "a: a", patience=0.1)
    pid = leave_behind(project)
    project.__exit__(ValueError, failure, None)
    assert "left behind" in failure.__notes__[0]
    assert not psutil.pid_exists(pid)


def test_a_command_that_hangs_fails(tmp_path):
    with (
        Project(tmp_path, scripts={"a": SLEEP}) as project,
        pytest.raises(AssertionError, match=r"`mika up` still runs after 1\.5 s"),
    ):
        project.mika("up", timeout=1.5)


RUN = """
import subprocess
import time

import pytest

@pytest.fixture(scope="session")
def server():
    with subprocess.Popen(["/bin/sh", "-c", "env -i sleep TIME & exec sleep TIME"], start_new_session=True) as server:
        yield
        server.kill()

def test_that_never_ends(server):
    time.sleep(600)
"""


@takes_long
@posix_only
@pytest.mark.parametrize("how", ["one process", "workers", "workers, of which the killer does not know"])
def test_what_a_session_has_started_ends_with_a_killed_pytest(tmp_path, how):
    time = f"600.{random.randrange(10**9)}"  # by which the server is found, and its child, which has no environment
    mark = f"OF_THIS_TEST={time}"
    (tmp_path / "test_run.py").write_text(RUN.replace("TIME", time))
    options = ["-p", "tests.kit.reaper", "-p", "xdist.plugin", "-n", "0" if how == "one process" else "1"]

    def alive(name: str = "") -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if (time in process.cmdline() or has_mark(process.pid, mark)) and name in process.name():
                    found.append(process)
        return found

    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, "test_run.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | dict([mark.split("=")]),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as pytest_:
        try:
            poll_until(lambda: len(alive("sleep")) == 2, DEADLINE, "the server")
            if how.endswith("not know"):
                pytest_.kill()
            else:
                os.killpg(pytest_.pid, signal.SIGKILL)
            pytest_.wait()
            poll_until(lambda: not alive(), DEADLINE, "nothing is left")
        finally:
            for process in alive():
                process.kill()


def test_no_port_is_given_twice():
    with free_port() as one, free_port() as other:
        assert one != other


@pytest.mark.parametrize(
    ("required", "outcome"),
    [("", pytest.skip.Exception), ("wine", pytest.skip.Exception), ("wine, docker", pytest.fail.Exception)],
)
def test_what_is_required_must_not_be_skipped(monkeypatch, required, outcome):
    monkeypatch.setenv("MIKA_REQUIRE", required)
    with pytest.raises(outcome, match="no engine"):
        require_or_skip("docker", "no engine")
