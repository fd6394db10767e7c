"""The kit itself: what it promises to notice, it notices."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from tests.kit.machine import free_port, poll_until, require_or_skip
from tests.kit.project import Project

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
