"""What mika says about starting and stopping is true, also where a start or a stop is impossible."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.kit.machine import DEADLINE, free_port, poll_until, posix_only
from tests.kit.programs import SERVER, SLEEP
from tests.kit.project import Project

pytestmark = posix_only

# Like `sudo something`: another user's from then on, and deaf to what stops a program.
ANOTHER_USERS = """
import os, signal, time
for name in ('SIGINT', 'SIGTERM'):
    signal.signal(getattr(signal, name), signal.SIG_IGN)
print('here', flush=True)
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
time.sleep(600)
"""
MAY_NOT_KILL = ("setpriv", "--bounding-set=-kill,-sys_ptrace")
"""Before a command: it may signal only processes of its own user, and read only their environment, as everybody."""


@pytest.fixture
def restricted(project: Callable[..., Project]) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Runs mika with one process of another user, in a way that it may not kill it."""
    if os.geteuid() != 0 or not shutil.which(MAY_NOT_KILL[0]):
        pytest.skip("needs root, and setpriv of util-linux")
    this = project(scripts={"s": ANOTHER_USERS}, toml='[process.s]\ngrace = 0.5\nrestart = "never"\n')

    def mika(*args: str) -> subprocess.CompletedProcess[str]:
        command = [*MAY_NOT_KILL, sys.executable, "-m", "mika", "-C", str(this.folder), *args]
        return subprocess.run(command, env=this.environ(), capture_output=True, text=True, timeout=90, check=False)

    yield mika
    for process in this.alive():
        with contextlib.suppress(psutil.Error):
            process.kill()


def processes() -> list[int]:
    """The pids of the program that cannot be killed."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "uids"])
        if process.info["uids"].real == 65534 and "s.py" in (process.info["cmdline"] or [])
    ]


def test_what_cannot_be_stopped_is_named_and_gets_no_second_copy(restricted):
    assert restricted("up", "-d").returncode == 0
    poll_until(processes, DEADLINE, "the program of another user")
    pids = processes()
    again = restricted("restart", "s")
    assert again.returncode == 1, again
    assert str(pids[0]) in again.stderr
    assert "sudo kill -9" in again.stderr
    assert restricted("start", "s").returncode == 1, "not beside it"
    assert processes() == pids
    down = restricted("down", "--json")
    assert down.returncode == 1, down
    assert json.loads(down.stdout)["left"] == pids
    assert processes() == pids
    up = restricted("up", "-d")
    assert up.returncode == 1, "not beside what an earlier run left, either"
    assert f"sudo kill -9 {pids[0]}" in up.stderr
    psutil.Process(pids[0]).kill()
    assert restricted("up", "-d").returncode == 0
    poll_until(processes, DEADLINE, "the program of another user")
    for pid in processes():
        psutil.Process(pid).kill()


def test_too_many_open_files_are_a_reason_to_wait_and_not_the_end(project):
    """Each process costs three descriptors; with a low limit some cannot start, and say so."""
    names = [f"p{number}" for number in range(16)]
    this = project("".join(f"{name}: python p.py\n" for name in names))
    this.write("p.py", SLEEP)
    command = f"ulimit -n 40; exec {sys.executable} -m mika -C {this.folder} up -d --timeout 4"
    shell = ["/bin/sh", "-c", command]
    done = subprocess.run(shell, env=this.environ(), capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 1, done
    assert "Too many open files" in done.stderr
    assert "Traceback" not in done.stderr + this.log("mika")


def settled(count: Callable[[], int]) -> int:
    """What it returns twice in a row: the connection of the last command may still be being closed."""
    last = count()
    while time.sleep(0.3) or last != (last := count()):
        pass
    return last


def test_a_process_revives_when_there_are_descriptors_again(project):
    this = project(scripts={"p0": SLEEP, "p1": SLEEP})
    this.up()
    supervisor = this.status()["supervisor"]["pid"]
    used = settled(psutil.Process(supervisor).num_fds)
    one_client = used + 1  # enough for a command, and not for another process
    limits = ["prlimit", f"--pid={supervisor}", f"--nofile={one_client}:4096"]
    if not shutil.which("prlimit"):
        pytest.skip("needs prlimit")
    subprocess.run(limits, check=True)
    psutil.Process(this.pid("p0")).kill()
    poll_until(lambda: "Too many open files" in this.unit("p0")["detail"], DEADLINE, "the reason")
    subprocess.run(["prlimit", f"--pid={supervisor}", "--nofile=4096:4096"], check=True)
    this.ok("restart", "p0")
    assert this.unit("p0")["state"] == "ready"


def test_the_first_exit_is_noticed_without_any_descriptor_left(project):
    """Whatever explains an exit may be imported only then."""
    this = project(scripts={"p0": SLEEP, "p1": SLEEP})
    this.up()
    supervisor, pid = this.status()["supervisor"]["pid"], this.pid("p0")
    if not shutil.which("prlimit"):
        pytest.skip("needs prlimit")
    subprocess.run(["prlimit", f"--pid={supervisor}", "--nofile=5:4096"], check=True)
    psutil.Process(pid).kill()
    poll_until(lambda: not psutil.pid_exists(pid), DEADLINE, "its end")
    time.sleep(0.5)
    subprocess.run(["prlimit", f"--pid={supervisor}", "--nofile=4096:4096"], check=True)
    this.wait_replaced("p0", pid)
    this.ok("restart", "p0")


# --- ready means ours -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["tcp:{port}", "http://127.0.0.1:{port}/ok"])
def test_a_port_that_somebody_has_is_refused_before_the_start(project, rule):
    with free_port() as port, listening(port):
        this = project(scripts={"web": SERVER}, toml=f'[process.web]\nready = "{rule.format(port=port)}"\n')
        result = this.error("up", "-d", code=2)
        assert f"port {port} is taken by python" in result.err
        assert str(os.getpid()) in result.err


V6 = SERVER.replace("HTTPServer(('127.0.0.1'", "V6(('::1'").replace(
    "http.server.V6(", "type('V6', (http.server.HTTPServer,), {'address_family': 10})(", 1
)
LATE = "import pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.05)\n" + SERVER
BREAKS = SERVER.replace("200 if self.path == '/ok' else 500", "500 if os.path.exists('broken') else 200")
COLOURED = "import time\nprint('\\x1b[32mserving\\x1b[0m now\\r', flush=True)\ntime.sleep(600)\n"


def test_ready_is_who_answers_at_any_address_in_any_colour_and_is_ours(project):
    """Another program takes the port of `late` between the check and the start of ours."""
    with free_port() as late, free_port() as other_family, free_port() as breaks:
        ports = {"late": late, "v6": other_family, "breaks": breaks}
        this = project(
            "".join(f"{name}: WEB_PORT={port} python {name}.py\n" for name, port in ports.items())
            + "coloured: python coloured.py\n",
            scripts={"late": LATE, "v6": V6, "breaks": BREAKS, "coloured": COLOURED},
            toml=f'[process.late]\nready = "tcp:{late}"\n[process.v6]\nready = "tcp:{other_family}"\n'
            f'[process.breaks]\nready = "http://127.0.0.1:{breaks}/ok"\nhang_timeout = 1\n'
            "[process.coloured]\nready = 'log:^serving now$'\n",
        )
        up = this.start_mika("up", "--timeout", "60")
        poll_until(lambda: this.unit("late")["pid"], DEADLINE, "our process")
        with listening(late):
            poll_until(lambda: "not by this process" in this.unit("late")["detail"], DEADLINE, "the reason")
            assert this.unit("late")["state"] == "starting"
        this.write("go", "")
        for name in ("late", "v6", "breaks", "coloured"):
            this.wait_state(name, "ready")
        assert up.popen.poll() is None
        a_server_that_answers_an_error_is_unhealthy_and_not_killed(this)


def a_server_that_answers_an_error_is_unhealthy_and_not_killed(this: Project) -> None:
    pid = this.pid("breaks")
    this.write("broken", "")
    this.wait_state("breaks", "unhealthy")
    assert "answers 500" in this.unit("breaks")["detail"]
    time.sleep(3)  # the patience with a server that does not answer at all is 1 s
    assert (this.pid("breaks"), this.unit("breaks")["restarts"]) == (pid, 0)
    (this.folder / "broken").unlink()
    this.wait_state("breaks", "ready")


def test_a_script_with_windows_line_endings_is_named(project):
    this = project("web: ./run.sh\n")
    this.write("run.sh", b"#!/bin/sh\r\nsleep 600\r\n").chmod(0o755)
    assert "'#!/bin/sh\\r\\n'" in this.error("up", "-d", code=1).err


@contextlib.contextmanager
def listening(port: int) -> Iterator[None]:
    """This process takes the port, and answers nothing."""
    with socket.create_server(("127.0.0.1", port)):
        yield


def test_one_that_keeps_failing_says_so_while_it_is_ready_for_a_moment(project):
    this = project(scripts={"web": "import os, time\ntime.sleep(3)\nos.kill(os.getpid(), 9)\n"})
    this.start_mika("up")
    this.wait_unit("web", "its third run", lambda unit: unit["state"] == "ready" and unit["restarts"] == 2)
    cause = "failed 2 times in a row: killed by SIGKILL"
    assert f"\n    {cause}: " in this.ok("status").out
    doctor = this.mika("doctor")
    assert doctor.code == 1
    assert f"FAIL  stack       web keeps exiting: {cause}\n" in doctor.out
    assert "`mika logs web` may say why; fix that; it is started again by itself" in doctor.out
