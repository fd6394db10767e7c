"""What mika says is what its user needs: the command as it was typed, an exit in the middle of the logs."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

from tests.kit.machine import POSIX, ROOT, poll_until, posix_only
from tests.kit.programs import SLEEP


def test_config_shows_the_options_of_processes(project):
    toml = '[process.web]\nneeds = ["clock:started"]\nhang_timeout = 0\nenv = { A = "1", API_KEY = "hidden" }\n'
    this = project(scripts={"web": SLEEP, "clock": SLEEP}, toml=toml)
    shown = this.ok("config").out
    for option, value in {"needs": "clock:started", "hang_timeout": "0.0", "env": "A=1 API_KEY=********"}.items():
        assert any(line.split(None, 1)[0] == f"web.{option}" and value in line for line in shown.splitlines()), shown
    options = this.ok("config", "--json").json["processes"]["web"]
    assert (options["needs"], options["hang_timeout"], options["stdin"]) == (["clock:started"], 0.0, "closed")
    assert "hidden" not in shown + str(options)


def test_following_the_logs_tells_what_happens_and_a_name_means_nothing_without_temporal(project):
    this = project(scripts={"web": SLEEP, "api": SLEEP})
    up = this.up()
    assert "mika send" not in up.out
    assert this.status()["urls"] == {}
    assert f"PORT={this.unit('api')['port']}" in this.ok("status").out
    follow = this.start_mika("logs", "-f", "web")
    poll_until(lambda: "here" in follow.output(), 15, "it follows")
    this.ok("restart", "api")
    this.ok("restart", "web")
    poll_until(lambda: "--- ready" in follow.output(), 15, "the restart")
    told = [line for line in follow.output().splitlines() if line.startswith("---")]
    assert told[0].startswith("--- exited ("), told
    assert told[1].startswith("--- started (pid "), told
    assert len(told) == 3, "nothing of the other process"


def test_a_hint_shows_the_command_as_it_was_typed(project, tmp_path):
    this = project(scripts={"web": SLEEP})
    env = this.environ() | {"PATH": os.defpath, "PYTHONPATH": str(ROOT / "launcher")}
    down = subprocess.run(
        [sys.executable, "-m", "mika", "status"],
        cwd=this.folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"`{shlex.quote(sys.executable)} -m mika up`" in down.stderr, "no `python` of the PATH has mika"
    if not POSIX:
        return
    # `uv run` as its child sees it: a variable, and a parent of that name.
    uv = tmp_path / "uv"
    uv.symlink_to(sys.executable)
    code = f"import subprocess, sys; sys.exit(subprocess.run([{sys.executable!r}, *sys.argv[4:]]).returncode)"
    words = [str(uv), "-c", code, "run", "--project", "a b", "-m", "mika", "-C", str(this.folder), "status"]
    env["UV_RUN_RECURSION_DEPTH"] = "1"
    down = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert f"run --project 'a b' -m mika -C {this.folder} up`" in down.stderr, down.stderr


@posix_only
def test_a_folder_whose_name_is_not_utf_8(project):
    this = project(scripts={"web": SLEEP}, name=os.fsdecode(b"bad\xff"))
    up = this.up()
    assert "ResourceWarning" not in up.err
    this.ok("restart", "web")
    assert this.unit("web")["state"] == "ready"
    assert "unexpected" not in this.mika("doctor").text
    this.ok("down")


def test_doctor_asks_what_ready_asks(project):
    listens = "import os, socket, time; s = socket.create_server(('127.0.0.1', int(os.environ['P']))); time.sleep(99)\n"
    this = project(scripts={"api": listens})
    port = str(this.ports["API_PORT"])
    this.env["P"] = port
    this.write("mika.toml", f'[process.api]\nready = "tcp:{port}"\n')
    this.up()
    checks = {check["id"]: check for check in this.mika("doctor", "--json").json["checks"]}
    assert (checks["api"]["status"], checks["api"]["finding"]) == ("ok", f"api: 127.0.0.1:{port}")


def test_init_replaces_nothing_that_is_there(project):
    this = project(scripts={"web": SLEEP}, toml='backend = "none"\n')
    refused = this.error("init", code=2).err
    assert f"{this.folder} already has Procfile and mika.toml; nothing was written" in refused
