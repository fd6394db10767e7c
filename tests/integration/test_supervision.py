"""Readiness, order, restarts, hangs and crashes, on plain Python processes: `--backend none`, no Temporal."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import time
import urllib.error
import urllib.request

import psutil
import pytest
from mika.errors import NotRunningError
from mika.project.folder import ProjectDir
from mika.stack import waiting

from tests.kit.machine import DEADLINE, free_port, poll_until, posix_only
from tests.kit.programs import BEATING, COUNT_STARTS, SERVER, SLEEP, SLOW_STOP


def ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


# --- readiness and order ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["tcp:{port}", "http://127.0.0.1:{port}/ok"])
def test_ready_when_it_answers(project, rule):
    with free_port() as port:
        this = project(
            scripts={"web": "import time\ntime.sleep(0.5)\n" + SERVER, "clock": SLEEP},
            toml=f'[process.web]\nready = "{rule.format(port=port)}"\n[process.clock]\nneeds = ["web"]\n',
            env={"WEB_PORT": str(port)},
        )
        this.up()
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ok", timeout=5).close()
        ready, started = this.events("ready", "web")[0], this.events("started", "clock")[0]
        assert ready["at"] <= started["at"]


def test_ready_when_a_line_is_printed(project):
    this = project(
        scripts={
            "web": "import time\nprint('loading', flush=True)\ntime.sleep(0.5)\nprint('serving on 1', flush=True)\n"
            + SLEEP
        },
        toml="[process.web]\nready = 'log:serving on \\d'\n",
    )
    this.up()
    assert "serving on 1" in this.log("web")
    assert this.unit("web")["detail"] == "serving on 1"
    this.ok("restart", "web")  # the line of the first run does not count
    assert this.log("web").count("serving on 1") == 2


def test_not_ready_in_time_says_who_and_why(project):
    with free_port() as port:
        this = project(scripts={"web": SLEEP, "clock": SLEEP}, toml=f'[process.web]\nready = "tcp:{port}"\n')
        result = this.error("up", "--timeout", "1", code=1)
        assert re.search(rf"not ready after 1 s: web: port {port}: .*refused", result.err), str(result)
        this.assert_gone()
        result = this.error("up", "-d", "--timeout", "1", "--json", code=1)
        error = result.json["error"]
        assert error["code"] == "not_ready"
        assert f"port {port}" in error["message"]
        this.assert_gone()


def test_wait_and_its_time_out(project):
    with free_port() as port:
        late = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.05)\n" + SERVER
        this = project(
            scripts={"web": late, "clock": SLEEP},
            toml=f'[process.web]\nready = "tcp:{port}"\n',
            env={"WEB_PORT": str(port)},
        )
        up = this.start_mika("up", "--timeout", "60")
        poll_until(lambda: this.unit("clock")["state"] == "ready", DEADLINE, "the clock is ready")
        assert this.ok("wait", "clock").out == "ready: clock\n"
        result = this.error("wait", "--timeout", "0.5", code=1)
        assert "web is starting" in result.err
        assert this.status()["state"] == "starting"
        this.write("go", "")
        this.ok("wait")
        assert up.popen.poll() is None


def test_wait_may_come_before_the_supervisor(project):
    """`mika up & mika wait`: on a busy machine, seconds pass before there is a lock."""
    this = project(scripts={"web": SLEEP})
    waits = this.start_mika("wait")
    waits.wait_for("no stack is running here yet")
    this.start_mika("up")
    assert waits.wait() == 0
    assert waits.output().endswith("ready\n")


def test_wait_does_not_hope_for_longer_than_it_is_told(project):
    this = project(scripts={"web": SLEEP})
    began = time.monotonic()
    assert "no stack is running" in this.error("wait", "--timeout", "0.3", code=3).err
    assert time.monotonic() - began < waiting.APPEARS


def test_wait_goes_on_while_the_supervisor_has_only_its_lock(project):
    this = project(scripts={"web": SLEEP})
    folder = ProjectDir(this.folder)
    folder.create()
    with folder.try_lock() as is_free:
        assert is_free
        began = time.monotonic()
        assert "starting or stopping" in this.error("wait", "--timeout", "1", code=1).err
        assert time.monotonic() - began > 0.9


# --- restart policies -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "end", "code", "starts"),
    [
        ("never", "sys.exit(0)", 0, 1),
        ("never", "sys.exit(3)", 1, 1),
        ("on-failure", "sys.exit(0)", 0, 1),
        ("on-failure", "sys.exit(starts < 3)", 0, 3),
    ],
)
def test_the_stack_ends_with_its_processes(project, policy, end, code, starts):
    this = project(scripts={"job": COUNT_STARTS + end + "\n"}, toml=f'[process.job]\nrestart = "{policy}"\n')
    result = this.mika("up")
    assert result.code == code, str(result)
    assert (this.folder / "starts").read_text() == str(starts)
    assert f"start {starts}" in result.out, str(result)
    this.assert_gone()
    with pytest.raises(NotRunningError):
        this.status()


def test_a_stack_that_has_done_its_work_is_no_failure_in_the_background(project):
    this = project(scripts={"job": "print('done')\n"}, toml='[process.job]\nrestart = "never"\n')
    result = this.mika("up", "-d")
    assert result.code == 0, str(result)


def test_always_restarts_after_exit_0_too(project):
    this = project(scripts={"web": COUNT_STARTS + "import time\ntime.sleep(0 if starts < 3 else 600)\n"})
    this.up()
    entry = this.wait_unit("web", "restarted twice", lambda unit: unit["restarts"] == 2 and unit["state"] == "ready")
    assert entry["last_exit"]["code"] == 0
    poll_until(lambda: this.log("web") == "start 1\nstart 2\nstart 3\n", DEADLINE, "what the third one prints")


def test_one_that_cannot_start_gives_up_and_says_why(project):
    with free_port() as port:
        this = project(
            scripts={"web": "import nothing_of_that_name\n", "clock": SLEEP},
            toml=f'[process.web]\nready = "tcp:{port}"\n',
        )
        result = this.error("up", code=1)
        assert "web gave up: ModuleNotFoundError: No module named 'nothing_of_that_name'" in result.err
        assert "    import nothing_of_that_name\n" in result.out, "the last lines of its output are shown"
        assert len(this.events("started", "web")) == 2
        this.assert_gone()
        # In the background the reason comes to this terminal, and nothing stays.
        result = this.error("up", "-d", code=1)
        assert "ModuleNotFoundError: No module named 'nothing_of_that_name'" in result.err
        this.assert_gone()
        with pytest.raises(NotRunningError):
            this.status()


def test_one_that_gave_up_is_revived(project):
    this = project(scripts={"web": SLEEP, "clock": SLEEP})
    this.up()
    this.write("web.py", "import sys\nsys.exit('no luck today')\n")
    this.mika("restart", "web")
    entry = this.wait_state("web", "gave_up")
    assert "no luck today" in entry["detail"]
    assert entry["last_exit"]["code"] == 1
    assert this.status()["state"] == "degraded"
    result = this.error("wait", code=1)
    assert "web gave up" in result.err
    this.write("web.py", SLEEP)
    this.ok("restart", "web")
    assert this.wait_ready()["state"] == "ready"


# --- stop, start, restart ---------------------------------------------------------------------------------------------


def test_stop_start_restart(project):
    this = project(scripts={"web": SLEEP, "clock": SLEEP})
    this.up()
    pid, clock = this.pid("web"), this.pid("clock")
    assert re.fullmatch(r"stopped: web \(\d+\.\d s\)\n", this.ok("stop", "web").out)
    assert not psutil.pid_exists(pid)
    entry = this.unit("web")
    assert (entry["state"], entry["pid"], entry["uptime_s"], entry["rss_mb"]) == ("stopped", None, None, None)
    assert re.fullmatch(r"ready: web \(\d+\.\d s\)\n", this.ok("start", "web").out)
    again = this.pid("web")
    assert again != pid
    assert "ready: web" in this.ok("start", "web").out  # it runs already
    assert this.pid("web") == again
    assert this.ok("restart", "web", "--json").json["state"] == "ready"
    assert this.pid("web") not in (pid, again)
    assert this.unit("web")["restarts"] == 0
    assert this.pid("clock") == clock


@posix_only
def test_kill_9_gives_restart_1(project):
    this = project(scripts={"web": SLEEP})
    this.up()
    pid = this.pid("web")
    os.kill(pid, signal.SIGKILL)
    entry = this.wait_replaced("web", pid)
    assert entry["restarts"] == 1
    assert (entry["last_exit"]["code"], entry["last_exit"]["reason"]) == (-9, "killed by SIGKILL")


@posix_only
def test_a_stop_while_it_backs_off_stays_a_stop(project):
    this = project(scripts={"web": SLEEP, "clock": SLEEP})
    this.up()
    this.write("web.py", "import sys\nsys.exit(1)\n")
    this.mika("restart", "web", "--timeout", "1")
    this.wait_state("web", "backoff")
    this.ok("stop", "web")
    starts = len(this.events("started", "web"))
    assert this.unit("web")["state"] == "stopped"
    this.ok("restart", "clock")
    assert len(this.events("started", "web")) == starts


# --- hangs ------------------------------------------------------------------------------------------------------------


@posix_only
def test_a_process_whose_beat_stops_is_replaced(project):
    this = project(scripts={"web": BEATING}, env={"MIKA_HANG_TIMEOUT": "1"})
    this.up()
    pid = this.pid("web")
    poll_until((this.folder / ".mika/run/web.beat").exists, DEADLINE, "the first beat")
    os.kill(pid, signal.SIGSTOP)
    entry = this.wait_replaced("web", pid)
    assert entry["restarts"] == 1
    assert "no beat" in this.events("unhealthy", "web")[0]["reason"]
    assert not psutil.pid_exists(pid)


@posix_only
def test_hang_detection_can_be_switched_off(project):
    this = project(scripts={"web": BEATING, "other": BEATING}, env={"MIKA_HANG_TIMEOUT": "0"})
    this.up()
    pid = this.pid("web")
    os.kill(pid, signal.SIGSTOP)
    # Nothing is to happen: the time in which it would have happened above, and it is still the same process.
    time.sleep(2.5)
    assert (this.unit("web")["pid"], this.unit("web")["state"]) == (pid, "ready")
    os.kill(pid, signal.SIGCONT)


@pytest.mark.skipif(sys.platform != "linux", reason="pidfd")
def test_an_exit_is_noticed_although_the_guard_is_suspended(project):
    this = project(scripts={"web": SLEEP}, env={"MIKA_HANG_TIMEOUT": "0"})
    this.up()
    pid = this.pid("web")
    psutil.Process(pid).parent().suspend()
    os.kill(pid, signal.SIGKILL)
    assert this.wait_replaced("web", pid)["restarts"] == 1
    assert "guard process did not report" in this.events("exited", "web")[0]["reason"]


def test_a_process_that_never_beats_is_not_hung(project):
    this = project(scripts={"web": SLEEP}, env={"MIKA_HANG_TIMEOUT": "0.5"})
    this.up()
    pid = this.pid("web")
    time.sleep(1.5)  # three times the patience
    assert this.pid("web") == pid


# --- crashes of ours --------------------------------------------------------------------------------------------------


@posix_only
def test_kill_9_of_the_supervisor_leaves_nothing_and_needs_no_repair(project):
    this = project(scripts={"web": SLOW_STOP.format(seconds=0.2)}, toml='[process.web]\nready = "log:here"\n')
    this.up()
    os.kill(this.status()["supervisor"]["pid"], signal.SIGKILL)
    this.assert_gone(15)
    assert this.log("web").endswith("stopped\n")  # gracefully, even so
    result = this.error("status", code=3)
    assert "no stack is running" in result.err
    this.up()
    assert this.status()["state"] == "ready"


@posix_only
@pytest.mark.parametrize("verb", ["up", "down"])
def test_what_is_left_when_supervisor_and_guards_are_killed_is_swept(project, verb):
    # The grandchild has a session of its own and writes nothing, so that nothing else ends it.
    code = "import subprocess, sys\nsubprocess.Popen([sys.executable, 'leaf.py'], start_new_session=True)\n" + SLEEP
    this = project(
        "web: python web.py\n",
        scripts={"web": code, "leaf": "import time\ntime.sleep(600)\n"},
        toml='[process.web]\nready = "log:here"\n',
    )
    this.up()
    leaf = poll_until(lambda: this.alive("leaf.py"), DEADLINE, "the grandchild")[0]
    supervisor = psutil.Process(this.status()["supervisor"]["pid"])
    ours = [supervisor, *supervisor.children()]
    for process in ours:
        process.suspend()
    for process in ours:
        process.kill()
    poll_until(lambda: not supervisor.is_running() or supervisor.status() == psutil.STATUS_ZOMBIE, DEADLINE, "its end")
    assert leaf.is_running()
    result = this.up() if verb == "up" else this.ok("down")
    assert f"pid {leaf.pid}" in result.text, str(result)
    assert ended(leaf)


def test_a_stale_socket_and_state_are_no_obstacle(project):
    this = project(scripts={"web": SLEEP})
    this.up()
    folder = ProjectDir(this.folder)
    state = folder.read_state()
    assert state is not None
    this.ok("down")
    folder.write_state(state)
    assert "no stack is running" in this.error("status", code=3).err
    this.up()
    assert this.ok("status", "--json").json["state"] == "ready"


def test_status_and_summary_show_where_a_process_really_listens(project):
    with free_port() as port:
        this = project(scripts={"web": SERVER}, env={"WEB_PORT": str(port)})
        summary = this.up()
        address = f"127.0.0.1:{port}"
        assert this.wait_unit("web", "listens", lambda unit: unit["listens"])["listens"] == [address]
        status = this.ok("status").out
        assert address in status
        assert "PORT=" not in status
        assert f"web          {address}" in summary.out
