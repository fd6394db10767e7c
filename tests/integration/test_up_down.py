"""`mika up` and `mika down` on stacks of plain Python processes: `--backend none`, no Temporal."""

from __future__ import annotations

import os
import re
import signal
import time

import psutil
import pytest
from mika.quoting import quoted

from tests.kit.machine import DEADLINE, POSIX, free_port, poll_until, posix_only
from tests.kit.programs import SERVER, SLEEP, SLOW_STOP, STUBBORN
from tests.kit.project import Project
from tests.kit.tty import Tty


@pytest.mark.timeout(180)
def test_up_status_down(project):
    this = project(
        scripts={"web": SLEEP, "clock": SLEEP},
        toml='[process.web]\nready = "log:here"\n',
        name=f"any folder name, 'quotes' and 项目, {'long' * 30}",
    )
    this.write(".mika/run/up-999999999.json", "")  # the report of an `up` that was killed
    result = this.ok("up", "-d", process=True)
    assert "ready after" in result.out
    assert reports(this) == []
    found = this.ok("status", "--json").json
    assert found["version"] == 1
    assert found["state"] == "ready"
    assert found["backend"] == "none"
    assert found["services"] == []
    assert found["urls"] == {}
    assert [(p["name"], p["state"], p["restarts"], p["last_exit"]) for p in found["processes"]] == [
        ("web", "ready", 0, None),
        ("clock", "ready", 0, None),
    ]
    assert psutil.Process(this.pid("web")).cmdline()[-1] == "web.py"
    for attached in (("up", "-d", "--json"), ("up", "--json")):
        assert this.mika(*attached).json["state"] == "ready"
    assert this.ok("logs", "web").out == "here\n"
    this.ok("restart", "web")
    if POSIX:
        a_supervisor_that_does_not_answer_is_said_and_not_waited_for(this)
        os.kill(this.status()["supervisor"]["pid"], signal.SIGSTOP)
        began = time.monotonic()
        assert "stopped" in this.ok("down", "--timeout", "1").out, "it is killed, and its guards stop the rest"
        assert time.monotonic() - began < 20
        this.assert_gone()
        this.up()
    down = this.ok("down", "--json").json
    assert (down["version"], down["was_running"], down["swept"], down["deleted"]) == (1, True, [], [])
    this.assert_gone()
    again = this.ok("down")
    assert "nothing is running" in again.out


def a_supervisor_that_does_not_answer_is_said_and_not_waited_for(this: Project) -> None:
    supervisor = this.status()["supervisor"]["pid"]
    os.kill(supervisor, signal.SIGSTOP)
    try:
        result = this.error("status", code=1, timeout=30)
        assert "does not answer" in result.err
        assert f"`kill -CONT {supervisor}`" in result.err
        result = this.error("up", "-d", "--timeout", "1", code=1, timeout=30)
        assert "another `mika` holds this folder and does not answer" in result.err
        assert f"it is suspended; resume it: `kill -CONT {supervisor}`" in result.err
    finally:
        os.kill(supervisor, signal.SIGCONT)
    assert this.wait_ready()["state"] == "ready"


SEES = "import os, time\nprint(os.environ['PORT'], os.environ['COLOUR'], os.getcwd(), flush=True)\ntime.sleep(600)\n"


def test_up_starts_what_is_named_as_often_as_it_is_told(project):
    this = project(
        "web: python ../web.py\nworker: python worker.py\nclock: python worker.py\n",
        scripts={"web": SEES, "worker": SLEEP},
        toml='[process.web]\ncount = 2\ncwd = "sub"\n'
        'env = { COLOUR = "$blue ${API_PORT}+${PORT}" }\nready = "log:blue"\n'
        '[process.worker]\nready = "log:here"\n',
        env={"PORT": "7000", "API_PORT": "8111"},
    )
    folder = this.folder / "sub"
    folder.mkdir()
    this.up("web", "worker=2")
    assert [process["name"] for process in this.status()["processes"]] == ["web.1", "web.2", "worker.1", "worker.2"]
    assert sorted(this.ok("logs", "web").out.splitlines()) == [
        f"web.1 | 7000 $blue 8111+7000 {folder}",
        f"web.2 | 7001 $blue 8111+7001 {folder}",
    ]
    several_of_one_type_are_stopped_together_and_restarted_alone(this)


def several_of_one_type_are_stopped_together_and_restarted_alone(this: Project) -> None:
    first, second = this.pid("worker.1"), this.pid("worker.2")
    this.ok("restart", "worker.2")
    assert this.pid("worker.1") == first
    assert this.pid("worker.2") != second
    this.ok("stop", "worker")
    assert [process["state"] for process in this.status()["processes"]] == ["ready", "ready", "stopped", "stopped"]
    assert this.status()["state"] == "degraded"
    this.ok("start", "worker")
    this.wait_ready()
    lines = [line for line in this.ok("logs", "worker").out.splitlines() if line.endswith("here")]
    assert sorted(lines) == ["worker.1 | here"] * 2 + ["worker.2 | here"] * 3


@posix_only
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_stops_gracefully(project, signum):
    this = project(scripts={"web": SLOW_STOP.format(seconds=0.3)})
    up = this.start_mika("up")
    up.wait_for("web | here")
    up.send(signum)
    assert up.wait() == (130 if signum == signal.SIGINT else 0), up.output()
    assert "stopping slowly" in up.output()
    assert this.log("web").endswith("stopped\n")
    this.assert_gone()


@posix_only
def test_the_end_of_its_terminal_stops_it(project):
    """As in `xterm -e mika up`, where only this program is told."""
    this = project(scripts={"web": SLOW_STOP.format(seconds=0.3)})
    with Tty(this._command(("up",)), this.environ()) as terminal:
        terminal.shows("here")
        terminal.hang_up()
        assert terminal.ends() == 0
    assert this.log("web").endswith("stopped\n")
    this.assert_gone()


@posix_only
def test_ctrl_c_twice_forces_and_still_reaps(project):
    this = project(scripts={"web": STUBBORN}, toml="[process.web]\ngrace = 300\n")
    up = this.start_mika("up")
    up.wait_for("web | here")
    up.send(signal.SIGINT)
    up.wait_for("web | no")
    time.sleep(0.3)  # what comes sooner is the same Ctrl-C
    up.send(signal.SIGINT)
    assert up.wait() == 130
    this.assert_gone()


@posix_only
def test_ctrl_c_while_it_starts(project):
    with free_port() as port:
        this = project(scripts={"web": SLEEP}, toml=f'[process.web]\nready = "tcp:{port}"\n')
        up = this.start_mika("up")
        poll_until(lambda: this.events("started", "web"), DEADLINE, "web is started")
        up.send(signal.SIGINT)
        assert up.wait() == 130
        this.assert_gone()
        background = this.start_mika("up", "-d")
        poll_until(lambda: this.unit("web")["state"] == "starting", DEADLINE, "web is started again")
        background.send(signal.SIGINT)
        assert background.wait() == 130
        this.assert_gone()
        assert reports(this) == []


def reports(this: Project) -> list[str]:
    """What `up -d` and its background process tell each other by; nothing of it may stay."""
    return [path.name for path in (this.folder / ".mika" / "run").glob("up-*")]


def test_a_start_in_the_background_that_takes_too_long_says_why_however_long_its_end_takes(project):
    with free_port() as port:
        toml = f'[process.web]\ngrace = 60\n[process.clock]\nready = "tcp:{port}"\n'
        this = project(scripts={"web": SLOW_STOP.format(seconds=8), "clock": SLEEP}, toml=toml)
        failed = this.error("up", "-d", "--timeout", "1.5", "--json", code=1).json["error"]
        assert failed["code"] == "not_ready"
        assert f"not ready after 2 s: clock: port {port}" in failed["message"]
        assert "is stopp" not in failed["message"]
        assert "web" not in failed["message"]
        this.assert_gone()
        assert reports(this) == []


def test_a_stop_waits_for_the_grace_and_then_kills_and_down_has_a_time_limit(project):
    toml = '[process.brief]\ngrace = 0.5\nready = "log:here"\n[process.patient]\ngrace = 300\nready = "log:here"\n'
    this = project("brief: python web.py\npatient: python web.py\n", scripts={"web": STUBBORN}, toml=toml)
    this.up()
    this.ok("stop", "brief", timeout=20)
    assert "no" in this.log("brief"), "it was asked first"
    this.ok("down", "--timeout", "1", timeout=20)
    this.assert_gone()


def test_the_stack_of_another_folder_is_named_where_it_has_the_port(project):
    first = project(scripts={"api": SERVER}, name="the first")
    first.env["WEB_PORT"] = str(first.ports["API_PORT"])
    first.up()
    second = project(scripts={"api": SERVER}, name="second", env={"API_PORT": first.env["WEB_PORT"]})
    for port, named in (("$API_PORT", r" \(API_PORT\)"), (first.env["WEB_PORT"], "")):
        second.write("mika.toml", f'[process.api]\nready = "http://127.0.0.1:{port}/ok"\n')
        refused = second.error("up", "-d", code=2)
        taken = rf"port \d+{named} is taken by \S+ \(pid \d+\) of the stack in "
        assert re.search(taken, refused.err), str(refused)
        assert f"`mika -C {quoted(first.folder)} down`, or " in refused.err
        assert ("API_PORT=" in refused.err) == bool(named), "what does not decide the port is no fix"
    # Its bot would answer, with another memory.
    refused = second.error("send", "hello", code=3)
    assert f"is that of the stack in {first.folder}" in refused.err


def test_up_during_down_waits_its_turn(project):
    this = project(scripts={"web": SLOW_STOP.format(seconds=1)}, toml='[process.web]\nready = "log:here"\n')
    this.up()
    before = this.status()["supervisor"]["pid"]
    down = this.start_mika("down")
    poll_until(lambda: "stopping slowly" in this.log("web"), DEADLINE, "the stop has begun")
    this.up()
    assert down.wait() == 0, down.output()
    assert this.status()["supervisor"]["pid"] != before
    assert this.status()["state"] == "ready"


def test_down_while_it_starts(project):
    with free_port() as port:
        this = project(scripts={"web": SLEEP}, toml=f'[process.web]\nready = "tcp:{port}"\n')
        up = this.start_mika("up")
        poll_until(lambda: this.unit("web")["state"] == "starting", DEADLINE, "web is started")
        this.ok("down")
        assert up.wait() == 0, up.output()
        this.assert_gone()


def test_down_while_it_starts_in_the_background(project):
    """`mika up -d && next` must not go on."""
    with free_port() as port:
        this = project(scripts={"web": SLEEP}, toml=f'[process.web]\nready = "tcp:{port}"\n')
        up = this.start_mika("up", "-d")
        poll_until(lambda: this.unit("web")["state"] == "starting", DEADLINE, "web is started")
        this.ok("down")
        assert up.wait() == 1, up.output()
        assert "it was stopped before it was ready" in up.output()
        this.assert_gone()


def test_down_ends_a_foreground_up_which_prints_one_object_of_json(project):
    this = project(scripts={"web": SLEEP})
    up = this.start_mika("up", "--json")
    up.wait_for('"urls"')
    this.wait_ready()
    this.ok("down")
    assert up.wait() == 0
    assert up.output().count('"version"') == 1
    assert up.output().startswith("{")
    assert up.output().endswith("}\n")
