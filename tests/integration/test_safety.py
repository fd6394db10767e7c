"""A full disk, a chatty process, a crowd at the control socket, a web page: the stack goes on, and it is said."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from mika.project.folder import ProjectDir

from tests.kit.machine import DEADLINE, poll_until, posix_only

SLEEP = "import time\nprint('here', flush=True)\ntime.sleep(600)\n"
CHATTY = """
import os, pathlib, time
print('here', flush=True)
number = 0
while True:
    if pathlib.Path('talk').exists():
        number += 1
        print(f'{number:099}', flush=number % 500 == 0)
    else:
        time.sleep(0.05)
    if number % 500 == 0:
        time.sleep(0.02)
"""


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("needs root, to mount a small tmpfs")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount a tmpfs here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@posix_only
def test_a_full_disk_stops_nothing_and_is_said_once(tmp_path, project):
    this = project(scripts={"web": CHATTY, "other": SLEEP})
    logs = this.folder / ".mika" / "logs"
    logs.mkdir(parents=True, mode=0o700)
    with small_disk(logs, "1m"):
        up = this.start_mika("up")
        this.wait_ready()
        pids = {unit["name"]: unit["pid"] for unit in this.status()["processes"]}
        this.write("talk", "")
        up.wait_for("its log cannot be written")
        assert "No space left on device" in up.output()
        # It is full and stays full: the status answers, a crash is mended, and nothing is said again.
        this.ok("restart", "other")
        assert len(re.findall("web +its log cannot be written", up.output())) == 1
        now = {unit["name"]: (unit["pid"], unit["state"]) for unit in this.status()["processes"]}
        assert now["web"] == (pids["web"], "ready")
        assert now["other"][0] != pids["other"]
        for segment in logs.glob("web*.log"):  # what a person does who needs the space
            segment.unlink()
        up.wait_for("its log can be written again")
        this.ok("down")
        assert up.wait() == 0
    this.assert_gone()


def test_logs_stay_within_their_bound(project):
    this = project(scripts={"web": CHATTY}, env={"MIKA_LOG_MAX_MB": "1"})
    this.up()
    this.write("talk", "")
    logs = this.folder / ".mika" / "logs"

    def size() -> int:
        return sum(path.stat().st_size for path in logs.glob("web*.log"))

    poll_until((logs / "web.6.log").exists, DEADLINE, "the seventh segment, so 1.5 MB have been written")
    assert size() <= 1_000_000
    assert this.ok("logs", "-n", "1", "web").out.strip().isdigit()


@posix_only
def test_a_crowd_at_the_control_socket_keeps_nobody_out(project):
    this = project(scripts={"web": SLEEP})
    this.up()
    state = ProjectDir(this.folder).read_state()
    assert state is not None
    with contextlib.ExitStack() as stack:
        for number in range(300):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.settimeout(5)
            with contextlib.suppress(OSError):  # it may refuse the 200th
                client.connect(state.address)
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000 if number % 2 else b"")
        poll_until(lambda: this.status()["state"] == "ready", DEADLINE, "an answer among all of them")
        pid = this.pid("web")
        this.ok("status")
        assert this.pid("web") == pid
        this.ok("down")
    this.assert_gone()


def test_many_ups_at_once_make_one_stack(project):
    this = project(scripts={"web": SLEEP})
    ups = [this.start_mika("up", "-d") for _ in range(5)]
    assert [up.wait(60) for up in ups] == [0] * 5, [up.output() for up in ups]
    assert len(this.events("started", "web")) == 1
    this.ok("down")
    this.assert_gone()


def test_a_web_page_starts_no_workflow(project):
    this = project("web: sleep 600\n", backend="embedded")
    this.up()
    server = psutil.Process(this.pid("temporal"))
    ports = {one.laddr.port for one in server.net_connections("tcp") if one.status == psutil.CONN_LISTEN}
    answers = {port: plain_post(port) for port in ports - {this.ports["TEMPORAL_PORT"]}}
    assert answers.pop(this.ports["TEMPORAL_UI_PORT"]) == 400  # its CSRF token is missing
    assert 403 in answers.values(), "or the server has no HTTP API, and this test shows nothing"
    assert set(answers.values()) <= {0, 403, 404}


def plain_post(port: int) -> int:
    """What a page of any site may send without asking first; 0 where nobody speaks HTTP."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    body = '{"workflowType": {"name": "X"}, "taskQueue": {"name": "q"}, "requestId": "a"}'
    headers = {"Origin": "http://evil.example", "Content-Type": "text/plain"}
    try:
        client.request("POST", "/api/v1/namespaces/default/workflows/planted", body, headers)
        return client.getresponse().status
    except (http.client.HTTPException, OSError):
        return 0
    finally:
        client.close()
