"""What a process waits for, what counts as done, and what ends the whole stack."""

from __future__ import annotations

import socket

from tests.kit.machine import POSIX, poll_until
from tests.kit.programs import SERVER, SLEEP

MIGRATE = "import time; time.sleep(1); open('migrated', 'w').close(); print('done', flush=True)\n"
NEEDS_MIGRATION = "import os, time; assert os.path.exists('migrated'); time.sleep(600)\n"
FAILS = "import sys, time; time.sleep(0.3); print('no such table', flush=True); sys.exit(3)\n"
FAILS_ONCE = """
import os, sys
if not os.path.exists('tried'):
    open('tried', 'w').close()
    sys.exit(1)
"""
ONCE = 'restart = "never"\n'


def test_who_needs_a_migration_starts_when_it_is_done(project):
    toml = f'[process.migrate]\n{ONCE}[process.web]\nneeds = ["migrate"]\n'
    this = project(scripts={"web": NEEDS_MIGRATION, "migrate": MIGRATE}, toml=toml)
    this.up()
    assert this.unit("migrate")["state"] == "exited"
    assert this.unit("web")["restarts"] == 0
    assert this.status()["state"] == "ready"


def test_a_migration_that_fails_ends_the_start_with_its_last_lines(project):
    toml = f'[process.migrate]\n{ONCE}[process.web]\nneeds = ["migrate"]\nready = "log:never"\n'
    this = project(scripts={"web": SLEEP, "migrate": FAILS}, toml=toml)
    for words in (("up", "-d"), ("up",)):
        up = this.error(*words, code=1)
        assert "migrate failed: exit code 3: no such table" in up.err
        assert "    no such table" in up.out, "the last lines"
        assert up.seconds < 20
        assert not this.log("web")


def test_so_does_one_that_is_waited_for_by_a_line_of_its_log(project):
    toml = f'[process.migrate]\n{ONCE}ready = "log:never"\n[process.web]\nneeds = ["migrate"]\n'
    this = project(scripts={"web": SLEEP, "migrate": FAILS}, toml=toml)
    up = this.error("up", "-d", code=1)
    assert "migrate failed: exit code 3" in up.err
    assert not this.log("web")


def test_completed_and_started(project):
    toml = """
[process.setup]
restart = "on-failure"
[process.api]
ready = "log:never"
[process.web]
needs = ["setup:completed", "api:started"]
"""
    this = project(scripts={"setup": FAILS_ONCE, "api": SLEEP, "web": SLEEP}, toml=toml)
    running = this.start_mika("up")
    poll_until(lambda: "here" in this.log("web"), 30, "web has started")
    assert this.unit("api")["state"] == "starting", "nobody waited until it was ready"
    assert this.unit("setup")["restarts"] == 1
    running.popen.terminate()
    running.popen.wait(30)


def test_a_waiting_process_says_for_what(project):
    toml = f'[process.slow]\n{ONCE}[process.web]\nneeds = ["slow"]\n'
    this = project(scripts={"slow": SLEEP, "web": SLEEP}, toml=toml)
    up = this.error("up", "-d", "--timeout", "2", code=1)
    assert "web: waiting for slow to be completed" in up.err


def test_the_stack_ends_with_its_tests_and_takes_their_exit_code(project):
    toml = '[process.web]\nready = "http://127.0.0.1:$PORT/ok"\n[process.tests]\nends = true\nneeds = ["web"]\n'
    tests = (
        "import sys, urllib.request, os; urllib.request.urlopen(os.environ['URL']); sys.exit(int(os.environ['CODE']))"
    )
    this = project(scripts={"web": SERVER, "tests": tests})
    port = str(this.ports["API_PORT"])
    this.write("mika.toml", toml.replace("$PORT", port))
    env = {"WEB_PORT": port, "URL": f"http://127.0.0.1:{port}/ok"}
    passed = this.mika("up", env=env | {"CODE": "0"})
    assert passed.code == 0, passed
    assert "tests completed: stopping the rest" in passed.out
    failed = this.mika("up", env=env | {"CODE": "5"})
    assert failed.code == 5, failed
    assert "tests failed: exit code 5" in failed.err
    this.assert_gone()


def test_a_check_command_and_a_status_decide_what_is_ready(project):
    toml = """
[process.web]
ready = "http://127.0.0.1:$PORT/missing 5xx"
[process.other]
ready = "exec:python -c \\"import os, sys; sys.exit(0 if os.path.exists('now') else print('not now') or 4)\\""
"""
    this = project(scripts={"web": SERVER, "other": SLEEP}, env={})
    this.write("mika.toml", toml.replace("$PORT", str(this.ports["API_PORT"])))
    this.env["WEB_PORT"] = str(this.ports["API_PORT"])
    running = this.start_mika("up")
    this.wait_state("web", "ready")
    this.wait_unit("other", "says why it is not ready", lambda unit: "exit code 4: not now" in unit["detail"])
    this.write("now", "")
    this.wait_state("other", "ready")
    running.popen.terminate()
    running.popen.wait(30)


def test_a_start_that_takes_too_long_is_a_failure(project):
    toml = '[process.web]\nready = "log:never"\nready_timeout = 0.5\nmax_restarts = 1\n'
    this = project(scripts={"web": SLEEP}, toml=toml)
    up = this.error("up", "-d", code=1)
    assert "web gave up: failed 2 times in a row: killed by SIGKILL: not ready after 0.5 s: a line that match" in up.err


def test_patience_is_a_matter_of_each_process(project):
    busy = SERVER.replace(
        "do_GET(self):", "do_GET(self):\n        import time; time.sleep(6 if os.path.exists('busy') else 0)"
    )
    toml = """
[process.patient]
ready = "http://127.0.0.1:$A/ok"
hang_timeout = 0
[process.impatient]
ready = "http://127.0.0.1:$B/ok"
hang_timeout = 1
"""
    this = project(
        procfile="patient: WEB_PORT=$A python web.py\nimpatient: WEB_PORT=$B python web.py\n",
    )
    this.write("web.py", busy)
    a, b = str(this.ports["API_PORT"]), str(this.ports["TEMPORAL_PORT"])
    this.env |= {"A": a, "B": b}
    this.write("mika.toml", toml.replace("$A", a).replace("$B", b))
    this.up()
    patient, impatient = this.pid("patient"), this.pid("impatient")
    this.write("busy", "")
    this.wait_unit("impatient", "was replaced", lambda unit: unit["restarts"] > 0)
    assert this.pid("patient") == patient
    assert this.pid("impatient") != impatient


def test_standard_input(project):
    reads = "import sys; print('here', flush=True); sys.stdin.read()\n"
    asks = "input('name? ')\n"
    this = project(scripts={"reads": reads}, toml='[process.reads]\nstdin = "open"\n')
    this.up()
    assert this.unit("reads")["restarts"] == 0
    this.ok("down")
    for code in (reads, asks):
        this.write("reads.py", code)
        this.write("mika.toml", "[process.reads]\nmax_restarts = 1\n")
        up = this.error("up", "-d", code=1)
        assert 'set `stdin = "open"`' in up.err


def test_a_program_that_becomes_a_daemon_is_told_from_one_that_ends(project):
    daemon = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)\n"
    if not POSIX:
        daemon = "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    this = project(scripts={"daemon": daemon}, toml="[process.daemon]\nmax_restarts = 1\n")
    up = this.error("up", "-d", code=1)
    assert "its first process exited (code 0) and left 1 more running, which were stopped" in up.err
    assert "run it in the foreground" in up.err


def test_without_a_probe_ready_means_alive_for_a_moment(project):
    this = project(procfile="w: python -c 'import nosuchmodule'\nx: python x.py\n", scripts={"x": SLEEP})
    up = this.error("up", "-d", code=1)
    assert "w gave up: ModuleNotFoundError: No module named 'nosuchmodule'" in up.err
    assert len(this.events("started", "w")) == 2


def test_a_port_that_nobody_has_is_not_taken_for_good(project):
    server = """
import os, socket
server = socket.socket()
server.bind(('127.0.0.1', int(os.environ['WEB_PORT'])))
server.listen()
client, _ = server.accept()
client.close()
client, _ = server.accept()
"""
    this = project(scripts={"web": server})
    port = this.ports["API_PORT"]
    this.env["WEB_PORT"] = str(port)
    this.up()
    with socket.create_connection(("127.0.0.1", port)) as client:
        assert client.recv(1) == b"", "the server has closed first, so its side keeps the port for a minute"
    this.mika("restart", "web", "--timeout", "1")
    unit = this.wait_unit("web", "tries again and again", lambda unit: unit["restarts"] >= 3)
    assert unit["state"] != "gave_up"
    assert "already in use" in this.log("web")
