"""Readiness, order, restarts, hangs and crashes, on plain Python processes: `--backend none`, no Temporal."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator

import psutil
import pytest
from mika.errors import NotRunningError
from mika.project.folder import ProjectDir
from mika.stack import waiting

from tests.kit.machine import DEADLINE, free_port, poll_until, posix_only
from tests.kit.programs import BEATING, COUNT_STARTS, SERVER, SLEEP, SLOW_STOP
from tests.kit.project import Project
from tests.kit.runs import Result

LINE = "import time\nprint('loading', flush=True)\ntime.sleep(0.5)\nprint('serving on 1', flush=True)\n" + SLEEP


# --- readiness and order ----------------------------------------------------------------------------------------------


def test_ready_when_it_answers_or_prints_a_line(project):
    with free_port() as tcp, free_port() as http, free_port() as plain:
        this = project(
            procfile="tcp: WEB_PORT=$TCP python web.py\nhttp: WEB_PORT=$HTTP python web.py\nline: python line.py\n"
            "clock: python clock.py\nplain: WEB_PORT=$PLAIN python plain.py\n",
            scripts={"plain": SERVER, "web": "import time\ntime.sleep(0.5)\n" + SERVER, "line": LINE, "clock": SLEEP},
            toml=f'[process.tcp]\nready = "tcp:{tcp}"\n[process.http]\nready = "http://127.0.0.1:{http}/ok"\n'
            "[process.line]\nready = 'log:serving on \\d'\n[process.clock]\nneeds = ['tcp', 'http', 'line']\n",
            env={"TCP": str(tcp), "HTTP": str(http), "PLAIN": str(plain)},
        )
        summary = this.up()
        for port in (tcp, http):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ok", timeout=5).close()
        started = this.events("started", "clock")[0]["at"]
        for name in ("tcp", "http", "line"):
            assert this.events("ready", name)[0]["at"] <= started, name
        where_a_process_listens_is_shown(this, summary, "plain", f"127.0.0.1:{plain}")

        assert this.unit("line")["detail"] == "serving on 1"
        assert this.log("line").count("serving on 1") == 1
        this.ok("restart", "line")  # the line of the first run does not count
        assert this.log("line").count("serving on 1") == 2


def where_a_process_listens_is_shown(this: Project, summary: Result, name: str, address: str) -> None:
    assert this.wait_unit(name, "listens", lambda unit: unit["listens"])["listens"] == [address]
    shown = next(line for line in this.ok("status").out.splitlines() if line.split()[:1] == [name])
    assert address in shown
    assert "PORT=" not in shown
    assert f"{name:12} {address}" in summary.out


def test_not_ready_in_time_says_who_and_why(project):
    with free_port() as port:
        this = project(scripts={"web": SLEEP, "clock": SLEEP}, toml=f'[process.web]\nready = "tcp:{port}"\n')
        result = this.error("up", "--timeout", "1", code=1)
        assert re.search(rf"not ready after 1 s: web: port {port}: .*refused", result.err), str(result)
        this.assert_gone()


@posix_only
def test_what_is_still_being_compiled_is_no_riddle(project):
    this = project("web: sh -c './compile 600; true'\n", toml='[process.web]\nready = "tcp:1"\n')
    shutil.copy(str(shutil.which("sleep")), this.folder / "compile")  # under the name of Go's own
    result = this.error("up", "--timeout", "2", code=1)
    assert "not ready after 2 s: web is still being compiled (by compile)" in result.err
    assert "`mika up --timeout 10`" in result.err


def test_wait_may_come_before_the_supervisor_and_has_a_time_out(project):
    """`mika up & mika wait`: on a busy machine, seconds pass before there is a lock."""
    with free_port() as port:
        late = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.05)\n" + SERVER
        this = project(
            scripts={"web": late, "clock": SLEEP},
            toml=f'[process.web]\nready = "tcp:{port}"\n',
            env={"WEB_PORT": str(port)},
        )
        waits = this.start_mika("wait")
        waits.wait_for("no stack is running here yet")
        up = this.start_mika("up", "--timeout", "60")
        poll_until(lambda: this.unit("clock")["state"] == "ready", DEADLINE, "the clock is ready")
        assert this.ok("wait", "clock").out == "ready: clock\n"
        result = this.error("wait", "--timeout", "0.5", code=1)
        assert "web is starting" in result.err
        assert this.status()["state"] == "starting"
        assert waits.popen.poll() is None
        this.write("go", "")
        this.ok("wait")
        assert waits.wait() == 0
        assert waits.output().endswith("ready\n")
        assert up.popen.poll() is None


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


def test_the_stack_ends_with_its_processes(project):
    ends = {"once": ("never", "0"), "done": ("on-failure", "0"), "third": ("on-failure", "starts < 3")}
    for jobs, code in ((ends, 0), ({"failed": ("never", "3")}, 1)):
        scripts = {
            name: COUNT_STARTS.replace("'starts'", f"'{name}-starts'") + f"sys.exit({end})\n"
            for name, (_, end) in jobs.items()
        }
        toml = "".join(f'[process.{name}]\nrestart = "{policy}"\n' for name, (policy, _) in jobs.items())
        this = project(scripts=scripts, toml=toml, name=f"ends with {code}")
        result = this.mika("up")
        assert result.code == code, str(result)
        for name in jobs:
            starts = "3" if name == "third" else "1"
            assert (this.folder / f"{name}-starts").read_text() == starts, name
            assert re.search(rf"^{name} *\| start {starts}$", result.out, re.MULTILINE), str(result)
        this.assert_gone()
        with pytest.raises(NotRunningError):
            this.status()


def test_the_only_process_that_gave_up_can_be_revived_and_one_with_an_end_ends_the_stack(project):
    """Only what should always run keeps the stack: with Temporal's data, and the cause for who asks."""
    fails = (
        "import pathlib, sys, time\ntime.sleep(0 if pathlib.Path('no').exists() else 777)\nsys.exit('no luck today')\n"
    )
    toml = 'backend = "none"\n[process.web]\nmax_restarts = 1\n'
    this = project(scripts={"web": fails}, toml=toml)
    this.up()
    this.write("no", "")
    assert (
        "web gave up: failed 2 times in a row: exit code 1: no luck today" in this.error("restart", "web", code=1).err
    )
    assert this.status()["state"] == "degraded"
    (this.folder / "no").unlink()
    this.ok("restart", "web")
    this.wait_ready()
    this.write("mika.toml", toml + 'restart = "on-failure"\n')
    this.ok("restart", "web")
    this.write("no", "")
    this.mika("restart", "web")
    poll_until(lambda: this.mika("status").code == 3, DEADLINE, "the end of the stack")
    this.assert_gone()


@pytest.mark.parametrize("words", [("up", "--plain"), ("up", "-d")])
def test_who_watches_a_stack_that_fails_learns_why_and_exits_with_1(project, words):
    """The terminal that started it says so once, at the end; the log of the stack has it, too."""
    waits = "import pathlib, sys, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.05)\n"
    fails = waits + "sys.exit('no luck today')\n"
    toml = '[process.job]\nrestart = "never"\nends = true\nready = "log:never"\n'
    this = project(scripts={"web": SLEEP, "job": fails}, toml=toml)
    first = this.start_mika("up", "--plain")
    this.wait_state("web", "ready")
    second = this.start_mika(*words)
    second.wait_for("already up")
    this.write("go", "")
    why = "job failed: exit code 1: no luck today"
    assert (first.wait(), second.wait()) == (1, 1)
    assert first.output().count(why) == second.output().count(why) == 1
    assert [event["message"] for event in this.events("notice") if event["level"] == "error"] == [why]


def test_a_stack_that_has_done_its_work_is_no_failure_in_the_background(project):
    this = project(scripts={"job": "print('done')\n"}, toml='[process.job]\nrestart = "never"\n')
    result = this.mika("up", "-d")
    assert result.code == 0, str(result)


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
        this.assert_gone()  # so in the background: `test_stack.py`, a database that is not one
        with pytest.raises(NotRunningError):
            this.status()


def test_one_that_keeps_failing_says_so_while_the_next_attempt_is_under_way(project):
    with free_port() as port:
        this = project(
            scripts={"web": "import sys, time\ntime.sleep(2)\nsys.exit('no luck today')\n"},
            toml=f'[process.web]\nready = "tcp:{port}"\n',
        )
        this.start_mika("up")
        detail = "failed 2 times in a row: exit code 1: no luck today"
        this.wait_unit("web", detail, lambda unit: unit["state"] == "starting" and unit["detail"] == detail)


# As Node prints it, in colours, and with more frames than are shown.
NODE = r"""
print("\x1b[31mError\x1b[m: Cannot find module 'nowhere'")
print("    at Module._compile (node:internal/modules/cjs/loader:1521:14)\n" * 50)
print("Node.js v20.20.2\n\x1b[0m", flush=True)
raise SystemExit(1)
"""


def test_the_error_above_a_long_stack_trace_is_the_reason(project):
    this = project(scripts={"web": NODE}, toml='[process.web]\nready = "log:never"\n')
    result = this.error("up", code=1)
    assert "web gave up: Error: Cannot find module 'nowhere'; another attempt would fail the same way" in result.err
    (gave_up,) = this.events("gave_up", "web")
    assert len(gave_up["last_lines"]) == 20
    assert gave_up["last_lines"][-1] == "Node.js v20.20.2"
    assert "\x1b" not in str(gave_up)


# --- one stack, of which each test has processes of its own -----------------------------------------------------------

# What prints `here` is ready with that, and not a second later.
CREW = {
    "clock": SLEEP,
    "revived": SLEEP,
    "told": SLEEP,
    "killed": SLEEP,
    "stopped": SLEEP,
    "always": COUNT_STARTS + "import time\ntime.sleep(0 if starts < 3 else 600)\n",
    "beating": BEATING,
    "patient": BEATING,
    "unreported": SLEEP,
    "silent": SLEEP,
}
PATIENCE = {"patient": 0, "unreported": 0, "silent": 0.5}


@pytest.fixture(scope="module")
def _shared_crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    options = {name: ['ready = "log:here"'] if "here" in code else [] for name, code in CREW.items()}
    options["revived"].append("max_restarts = 2")
    for name, seconds in PATIENCE.items():
        options[name].append(f"hang_timeout = {seconds}")
    toml = "".join("\n".join((f"[process.{name}]", *lines, "")) for name, lines in options.items())
    folder = tmp_path_factory.mktemp("crew")
    with Project(folder, scripts=CREW, toml=toml, env={"MIKA_HANG_TIMEOUT": "1"}, patience=10) as this:
        this.up()
        yield this


@pytest.fixture
def crew(_shared_crew: Project) -> Project:
    """It is ready, and a test leaves it so."""
    _shared_crew.wait_ready()
    return _shared_crew


def test_always_restarts_after_exit_0_too(crew):
    entry = crew.wait_unit("always", "restarted", lambda unit: unit["restarts"] == 2 and unit["state"] == "ready")
    assert entry["last_exit"]["code"] == 0
    poll_until(lambda: crew.log("always") == "start 1\nstart 2\nstart 3\n", DEADLINE, "what the third one prints")


def test_one_that_gave_up_is_revived(crew):
    crew.write("revived.py", "import sys\nsys.exit('no luck today')\n")
    crew.mika("restart", "revived")
    entry = crew.wait_state("revived", "gave_up")
    assert "no luck today" in entry["detail"]
    assert entry["last_exit"]["code"] == 1
    assert crew.status()["state"] == "degraded"
    result = crew.error("wait", code=1)
    assert "revived gave up" in result.err
    crew.write("revived.py", SLEEP)
    crew.ok("restart", "revived")
    assert crew.wait_ready()["state"] == "ready"


# --- stop, start, restart ---------------------------------------------------------------------------------------------


def test_stop_start_restart(crew):
    pid, clock = crew.pid("told"), crew.pid("clock")
    assert re.fullmatch(r"stopped: told \(\d+\.\d s\)\n", crew.ok("stop", "told").out)
    assert not psutil.pid_exists(pid)
    entry = crew.unit("told")
    assert (entry["state"], entry["pid"], entry["uptime_s"], entry["rss_mb"]) == ("stopped", None, None, None)
    assert re.fullmatch(r"ready: told \(\d+\.\d s\)\n", crew.ok("start", "told").out)
    again = crew.pid("told")
    assert again != pid
    assert "ready: told" in crew.ok("start", "told").out  # it runs already
    assert crew.pid("told") == again
    assert crew.ok("restart", "told", "--json").json["state"] == "ready"
    assert crew.pid("told") not in (pid, again)
    assert crew.unit("told")["restarts"] == 0
    assert crew.pid("clock") == clock


@posix_only
def test_kill_9_gives_restart_1(crew):
    pid = crew.pid("killed")
    os.kill(pid, signal.SIGKILL)
    entry = crew.wait_replaced("killed", pid)
    assert entry["restarts"] == 1
    assert (entry["last_exit"]["code"], entry["last_exit"]["reason"]) == (-9, "killed by SIGKILL")


@posix_only
def test_a_stop_while_it_backs_off_stays_a_stop(crew):
    crew.write("stopped.py", "import sys\nsys.exit(1)\n")
    crew.mika("restart", "stopped", "--timeout", "1")
    crew.wait_state("stopped", "backoff")
    crew.ok("stop", "stopped")
    starts = len(crew.events("started", "stopped"))
    assert crew.unit("stopped")["state"] == "stopped"
    crew.ok("restart", "clock")
    assert len(crew.events("started", "stopped")) == starts
    crew.write("stopped.py", SLEEP)
    crew.ok("start", "stopped")


# --- hangs ------------------------------------------------------------------------------------------------------------


@posix_only
def test_a_process_whose_beat_stops_is_replaced_unless_that_is_switched_off(crew):
    pid, patient = crew.pid("beating"), crew.pid("patient")
    poll_until((crew.folder / ".mika/run/beating.beat").exists, DEADLINE, "the first beat")
    for suspended in (patient, pid):
        os.kill(suspended, signal.SIGSTOP)
    entry = crew.wait_replaced("beating", pid)
    assert entry["restarts"] == 1
    assert "no beat" in crew.events("unhealthy", "beating")[0]["reason"]
    assert not psutil.pid_exists(pid)
    # That was time enough for the other one, too.
    assert (crew.unit("patient")["pid"], crew.unit("patient")["state"]) == (patient, "ready")
    os.kill(patient, signal.SIGCONT)


@pytest.mark.skipif(sys.platform != "linux", reason="pidfd")
def test_an_exit_is_noticed_although_the_guard_is_suspended(crew):
    pid = crew.pid("unreported")
    psutil.Process(pid).parent().suspend()
    os.kill(pid, signal.SIGKILL)
    assert crew.wait_replaced("unreported", pid)["restarts"] == 1
    assert "guard process did not report" in crew.events("exited", "unreported")[0]["reason"]


def test_a_process_that_never_beats_is_not_hung(crew):
    # three times its patience
    entry = crew.wait_unit("silent", "has run for 1.5 s", lambda unit: unit["uptime_s"] > 1.5)
    assert (entry["restarts"], entry["state"]) == (0, "ready")
    assert not crew.events("unhealthy", "silent")


# --- crashes of ours --------------------------------------------------------------------------------------------------


@posix_only
def test_kill_9_of_the_supervisor_leaves_nothing_and_needs_no_repair_and_stale_files_are_no_obstacle(project):
    this = project(scripts={"web": SLOW_STOP.format(seconds=0.2)}, toml='[process.web]\nready = "log:here"\n')
    this.up()
    os.kill(this.status()["supervisor"]["pid"], signal.SIGKILL)
    this.assert_gone(15)
    assert this.log("web").endswith("stopped\n")  # gracefully, even so
    result = this.error("status", code=3)
    assert "no stack is running" in result.err
    this.up()
    assert this.status()["state"] == "ready"
    folder = ProjectDir(this.folder)
    state = folder.read_state()
    assert state is not None
    this.ok("down")
    folder.write_state(state)  # as the killed one left it, and that one did not keep `up` from starting
    assert "no stack is running" in this.error("status", code=3).err
