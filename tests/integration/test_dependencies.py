"""What a process waits for, what counts as done, and what ends the whole stack."""

from __future__ import annotations

import contextlib
import socket

import psutil

from tests.kit.machine import DEADLINE, POSIX, poll_until
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
READS = "import sys; print('here', flush=True); sys.stdin.read()\n"
ONCE = 'restart = "never"\n'


BUSY = SERVER.replace(
    "do_GET(self):", "do_GET(self):\n        import time; time.sleep(6 if os.path.exists('busy') else 0)"
)
NEEDS = """
migrate: python migrate.py
migrated: python needs_migration.py
setup: python fails_once.py
never: python sleep.py
late: python late.py
checked: python sleep.py
waiting: python sleep.py
missing: WEB_PORT=$A python web.py
impatient: WEB_PORT=$B python web.py
reads: python reads.py
"""
OPTIONS = """
[process.migrate]
restart = "never"
[process.migrated]
needs = ["migrate"]
[process.setup]
restart = "on-failure"
[process.never]
ready = "log:never"
[process.late]
needs = ["setup:completed", "never:started"]
[process.checked]
ready = "exec:python -c \\"import os, sys; sys.exit(0 if os.path.exists('now') else print('not now') or 4)\\""
[process.waiting]
needs = ["never:completed"]
[process.missing]
ready = "http://127.0.0.1:$A/missing 5xx"
[process.impatient]
ready = "http://127.0.0.1:$B/ok"
hang_timeout = 1
[process.reads]
stdin = "open"
"""


def test_each_process_starts_when_what_it_needs_is_done_and_is_ready_as_its_own_rule_says(project):
    this = project(NEEDS, scripts={"sleep": SLEEP, "late": SLEEP, "web": BUSY, "reads": READS, "migrate": MIGRATE})
    this.write("needs_migration.py", NEEDS_MIGRATION)
    this.write("fails_once.py", FAILS_ONCE)
    toml = OPTIONS
    for letter, port in zip("AB", this.ports.values(), strict=False):
        this.env[letter] = str(port)
        toml = toml.replace(f"${letter}", str(port))
    this.write("mika.toml", toml)
    running = this.start_mika("up")

    assert this.wait_state("migrated", "ready")["restarts"] == 0, "it started when the migration was done"
    assert this.unit("migrate")["state"] == "exited"

    poll_until(lambda: "here" in this.log("late"), 30, "it has started")
    assert this.unit("never")["state"] == "starting", "nobody waited until it was ready"
    assert this.unit("setup")["restarts"] == 1
    assert "waiting: waiting for never to be completed" in this.error("wait", "--timeout", "0.5", code=1).err
    assert not this.log("waiting")

    this.wait_state("missing", "ready")  # a status decides
    this.wait_unit("checked", "says why it is not ready", lambda unit: "exit code 4: not now" in unit["detail"])
    this.write("now", "")
    this.wait_state("checked", "ready")

    this.wait_state("reads", "ready")
    assert this.unit("reads")["restarts"] == 0, "its standard input is open"
    hung = this.wait_state("impatient", "ready")["pid"]
    this.write("busy", "")  # for 6 s, and the default is to wait for 10
    this.wait_unit("impatient", "was replaced", lambda unit: unit["restarts"] > 0)
    assert this.pid("impatient") != hung
    running.popen.terminate()
    running.popen.wait(30)


CHECK = """
import os, pathlib, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
while not pathlib.Path("go").exists():
    print("not yet, " * 100)
    if pathlib.Path("fail").exists():
        sys.exit("not so soon")
"""


def test_a_ready_command_leaves_nothing_however_much_it_says(project):
    this = project(scripts={"web": SLEEP}, toml='[process.web]\nready = "exec:python check.py"\n')
    this.write("check.py", CHECK)
    this.start_mika("up")
    run = this.folder / ".mika" / "run"

    def output() -> int:
        bytes_ = 0
        for path in run.glob("check-*/*"):
            with contextlib.suppress(FileNotFoundError):  # the oldest lines have just gone
                bytes_ += path.stat().st_size
        return bytes_

    poll_until(lambda: output() > 30_000, DEADLINE, "it has said much")
    assert output() < 100_000
    this.write("fail", "")
    this.wait_unit("web", "says why it is not ready", lambda unit: "exit code 1: not so soon" in unit["detail"])
    this.write("go", "")
    this.wait_state("web", "ready")
    poll_until(lambda: not [*run.glob("check-*")], DEADLINE, "no attempt is left")
    names = {" ".join(process.cmdline()[1:]) for process in this.alive()}
    assert not [name for name in names if "time.sleep(600)" in name], names
    this.ok("down")
    this.assert_gone()


def test_a_ready_command_ends_with_the_supervisor(project):
    this = project(scripts={"web": SLEEP}, toml='[process.web]\nready = "exec:python check.py"\n')
    this.write("check.py", CHECK)
    this.start_mika("up")
    run = this.folder / ".mika" / "run"
    poll_until(lambda: [*run.glob("check-*/*.log")], DEADLINE, "the command runs")
    psutil.Process(this.status()["supervisor"]["pid"]).kill()
    this.assert_gone(DEADLINE)
    assert not [*run.glob("check-*")]


def test_a_migration_that_fails_ends_the_start_with_its_last_lines(project):
    toml = f'[process.migrate]\n{ONCE}[process.web]\nneeds = ["migrate"]\nready = "log:never"\n'
    # It may itself be waited for by a line of its log.
    waited_for = f'[process.migrate]\n{ONCE}ready = "log:never"\n[process.web]\nneeds = ["migrate"]\n'
    this = project(scripts={"web": SLEEP, "migrate": FAILS}, toml=toml)
    for words, options in ((("up", "-d"), toml), (("up",), waited_for)):
        this.write("mika.toml", options)
        up = this.error(*words, code=1)
        assert "migrate failed: exit code 3: no such table" in up.err
        assert "    no such table" in up.out, "the last lines"
        assert up.seconds < 20
        assert not this.log("web")


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


def test_a_stack_of_processes_that_run_once_says_that_it_ends_with_them(project):
    this = project(
        scripts={"migrate": MIGRATE, "seed": MIGRATE}, toml=f"[process.migrate]\n{ONCE}[process.seed]\n{ONCE}"
    )
    up = this.mika("up")
    assert up.code == 0, up
    assert "no process here keeps running: the stack stops after migrate, seed" in up.out
    assert "migrate, seed completed: stopping the rest" in up.out
    this.assert_gone()
    this.write("mika.toml", f"[process.migrate]\n{ONCE}[process.seed]\nends = true\n")
    assert "no process here keeps running" not in this.mika("up").out


def test_a_start_that_takes_too_long_is_a_failure(project):
    toml = '[process.web]\nready = "log:never"\nready_timeout = 0.5\nmax_restarts = 1\n'
    this = project(scripts={"web": SLEEP}, toml=toml)
    up = this.error("up", "-d", code=1)
    assert "web gave up: failed 2 times in a row: killed by SIGKILL: not ready after 0.5 s: a line that match" in up.err


def test_who_reads_a_closed_standard_input_is_told_how_to_open_it(project):
    this = project("reads: python reads.py\n", toml="[process.reads]\nmax_restarts = 1\n")
    for code in (READS, "input('name? ')\n"):
        this.write("reads.py", code)
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
    assert "installs what" not in up.err, "nothing says what the project needs"
    assert len(this.events("started", "w")) == 2
    this.write("requirements.txt", "nosuchmodule\n")
    up = this.error("up", "-d", code=1)
    assert "then `.venv" in up.err
    assert "-m pip install -r requirements.txt` installs what the project needs" in up.err
    (this.folder / ".venv").mkdir()
    this.write("requirements.txt", "another\n")
    up = this.error("up", "-d", code=1)
    assert "installs what" not in up.err, "it may be none of that"


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
