"""Help, configuration, colours, files: the commands beside the stack itself."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from mika import __version__
from mika.machine import ports
from mika.project.folder import ProjectDir

from tests.kit.machine import DEADLINE, POSIX, poll_until, posix_only
from tests.kit.programs import SLEEP
from tests.kit.project import Project


def test_version_and_help(project):
    this = project(scripts={"web": SLEEP})
    assert __version__ in this.ok("--version").out
    out = this.ok("--help").out
    for verb in ("up", "down", "status", "wait", "logs", "restart", "stop", "start", "send", "config"):
        assert re.search(rf"^  {verb} ", out, re.MULTILINE), out
        assert "Usage" in this.ok(verb, "--help").out


def test_config_tells_where_each_value_comes_from(project):
    this = project(scripts={"web": SLEEP}, toml='api_host = "localhost"\n')
    this.write(".env", "LLM_API_KEY=sk-very-secret\nLLM_MODEL=small\nMY_OWN=1\nMY_TOKEN=hidden\n")
    found = this.ok("config", "--json")
    settings = found.json["settings"]
    assert found.json["version"] == 1
    assert settings["API_HOST"] == {"value": "localhost", "origin": "mika.toml:1", "secret": False}
    assert settings["LLM_MODEL"] == {"value": "small", "origin": ".env:2", "secret": False}
    assert settings["API_PORT"] == {"value": this.ports["API_PORT"], "origin": "environment", "secret": False}
    assert settings["TEMPORAL_NAMESPACE"] == {"value": "default", "origin": "default", "secret": False}
    assert settings["MY_OWN"]["origin"] == ".env:3"
    text = this.ok("config").text
    for secret in ("sk-very-secret", "hidden"):
        assert secret not in found.text
        assert secret not in text
    assert re.search(r"LLM_API_KEY +\*+ +\.env:1", text)


# --- a stack that runs ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def _shared_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """In an environment as a login makes it, with a folder for sockets."""
    with tempfile.TemporaryDirectory(prefix="kit-", dir="/tmp" if POSIX else None) as base:
        (Path(base) / "user").mkdir(mode=0o700)
        env = {"XDG_RUNTIME_DIR": str(Path(base) / "user")} if POSIX else {}
        with Project(tmp_path_factory.mktemp("web"), scripts={"web": SLEEP}, env=env) as this:
            yield this


@pytest.fixture
def web(_shared_web: Project) -> Project:
    """Up and ready. It is shared, and a test may end it."""
    _shared_web.up()
    return _shared_web


def test_no_color_in_a_pipe_and_color_when_forced(web):
    assert "\x1b" not in web.ok("status").out
    forced = web.mika("status", env={"FORCE_COLOR": "1", "COLORTERM": "truecolor"}).out
    assert re.search(r"\x1b\[38;[\d;]+mready", forced)
    assert "\x1b" not in web.mika("status", env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).out


@posix_only
def test_files_are_for_this_user_alone(web):
    state = ProjectDir(web.folder).read_state()
    assert state is not None
    socket_file = Path(state.address)
    assert socket_file.stat().st_mode & 0o077 == 0
    assert socket_file.parent.stat().st_mode & 0o077 == 0
    root = web.folder / ".mika"
    assert root.stat().st_mode & 0o077 == 0
    open_to_others = [str(path) for path in (root / "run").iterdir() if path.stat().st_mode & 0o077]
    assert not open_to_others
    assert (root / ".gitignore").read_text() == "*\n"


@posix_only
def test_a_control_socket_that_is_removed_is_made_again(web):
    pid = web.pid("web")
    for _ in range(2):
        address = Path(ProjectDir(web.folder).read_state().address)
        address.unlink()
        result = web.mika("status")
        assert result.code == 0 or (result.code == 1 and f"{address} is gone" in result.err), str(result)
        poll_until(address.exists, DEADLINE, "a new socket")
        web.ok("status")
    assert web.pid("web") == pid


@posix_only
def test_the_runtime_folder_goes_with_a_log_out(web):
    """The stack goes on at another address, and a command without that folder finds it."""
    runtime, pid = Path(web.env["XDG_RUNTIME_DIR"]), web.pid("web")
    runtime.mkdir(mode=0o700, exist_ok=True)
    assert ProjectDir(web.folder).read_state().address.startswith(f"{runtime}/")
    shutil.rmtree(runtime)
    poll_until(lambda: web.pid("web") == pid, DEADLINE, "an answer at another address")
    web.ok("status")


def test_down_volumes_asks_first(web):
    """And finds a stack whose socket has just been removed."""
    (web.folder / ".mika" / "data" / "history.sqlite3").touch()
    for answer, code, word in (("n\n", 130, "the answer was no"), ("", 2, "--yes")):
        refused = web.mika("down", "--volumes", stdin=answer)
        assert refused.code == code, str(refused)
        assert "mika: nothing was done: " in refused.err
        assert word in refused.err
        assert web.status()["state"] == "ready", "a no to the question changes nothing"
    unanswered = web.mika("down", "--volumes", "--json")
    assert unanswered.code == 2
    assert "nobody answered" in unanswered.json["error"]["message"]
    assert web.status()["state"] == "ready"
    address = Path(ProjectDir(web.folder).read_state().address)
    if POSIX:
        address.unlink()
    assert web.ok("down", "--volumes", "--yes").code == 0
    assert not address.exists()
    assert not (web.folder / ".mika" / "data" / "history.sqlite3").exists()


@posix_only
def test_down_volumes_deletes_nothing_elsewhere(project, tmp_path):
    this = project(scripts={"web": "import time; time.sleep(600)\n"})
    kept, data = tmp_path / "kept", this.folder / ".mika" / "data"
    kept.mkdir()
    (kept / "photos").touch()
    this.up()
    shutil.rmtree(data)
    data.symlink_to(kept)
    refused = this.error("down", "--volumes", "--yes", code=2)
    assert f"{data} leads to {kept}: nothing was stopped or deleted" in refused.err
    assert (kept / "photos").exists()
    assert this.status()["state"] == "ready"
    this.ok("down")


# --- send -------------------------------------------------------------------------------------------------------------


API = """
import http.server, json, os, time
time.sleep(float(os.environ.get("API_SLEEP", "0")))
class Api(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps({"response": "you said " + asked["message"], "workflow_id": "w"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["API_PORT"])), Api).serve_forever()
"""


def test_send_waits_while_the_api_starts(project):
    this = project(scripts={"api": API}, env={"API_SLEEP": "2"})
    this.up()
    result = this.ok("send", "hello", "--timeout", "30")
    assert result.out == "you said hello\n"
    assert "waiting for it" in result.err


def test_send_reaches_an_api_that_mika_did_not_start(project):
    this = project(scripts={"api": API})
    with subprocess.Popen([sys.executable, "api.py"], cwd=this.folder, env=this.environ()) as api:
        try:
            poll_until(lambda: not ports.is_free("127.0.0.1", this.ports["API_PORT"]), DEADLINE, "the API listens")
            assert this.ok("send", "hello").out == "you said hello\n"
        finally:
            api.kill()
    this.error("send", "hello", code=3)
    assert not (this.folder / ".mika").exists()


def test_send_waits_for_a_stack_that_is_just_starting(project):
    """Its supervisor holds the lock and has told no address yet."""
    this = project(scripts={"api": API})
    folder = ProjectDir(this.folder)
    folder.create()
    with folder.try_lock() as free:
        assert free
        result = this.error("send", "hello", "--timeout", "1", code=1)
        assert "waiting for it" in result.err
    this.error("send", "hello", code=3)
