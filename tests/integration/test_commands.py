"""Help, configuration, colours, files: the commands beside the stack itself."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from launcher import __version__
from launcher.state import ProjectDir
from tests.programs import SLEEP


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


def test_no_color_in_a_pipe_and_color_when_forced(project):
    this = project(scripts={"web": SLEEP})
    this.up()
    assert "\x1b" not in this.ok("status").out
    forced = this.mika("status", env={"FORCE_COLOR": "1"}).out
    assert "\x1b[32mready" in forced
    assert "\x1b" not in this.mika("status", env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).out


def test_files_are_for_this_user_alone(project):
    if os.name == "nt":
        pytest.skip("POSIX modes")
    this = project(scripts={"web": SLEEP})
    this.up()
    state = ProjectDir(this.folder).read_state()
    assert state is not None
    socket_file = Path(state.address)
    assert socket_file.stat().st_mode & 0o077 == 0
    assert socket_file.parent.stat().st_mode & 0o077 == 0
    root = this.folder / ".mika"
    assert root.stat().st_mode & 0o077 == 0
    open_to_others = [str(path) for path in (root / "run").iterdir() if path.stat().st_mode & 0o077]
    assert not open_to_others
    assert (root / ".gitignore").read_text() == "*\n"


def test_down_volumes_asks_first(project):
    this = project(scripts={"web": SLEEP})
    this.up()
    (this.folder / ".mika" / "data" / "history.sqlite3").touch()
    refused = this.mika("down", "--volumes", stdin="n\n")
    assert refused.code != 0, str(refused)
    assert this.status()["state"] == "ready", "a no to the question changes nothing"
    assert this.ok("down", "--volumes", "--yes").code == 0
