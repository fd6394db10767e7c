"""`mika restart NAME` takes the settings as they are now, as far as a running stack can."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.kit.machine import POSIX, poll_until
from tests.kit.programs import SLEEP

SAYS = "import os\nprint('sees', os.environ.get('GREETING'), os.environ.get('GONE'), flush=True)\n" + SLEEP


def sees(this, name, text):
    poll_until(lambda: f"sees {text}" in this.log(name), 15, f"{name} sees {text}")


def test_a_restart_takes_what_changed_and_what_was_removed_and_works_beside_a_mistake(project):
    this = project(scripts={"web": SAYS, "clock": SAYS})
    this.write(".env", "GREETING=first\nGONE=yes\n")
    this.ok("up", "-d")
    sees(this, "web", "first yes")
    this.write(".env", "GREETING=second\nTEMPORAL_NAMESPACE=other\n")
    told = this.ok("restart", "web")
    sees(this, "web", "second None")
    assert "web takes changed settings: GONE, GREETING" in told.text
    assert "settings changed: `mika down`, then `mika up` takes TEMPORAL_NAMESPACE" in told.text
    assert len(this.events("started", "clock")) == 1, "nobody restarted it"

    this.ok("stop", "clock")
    this.ok("start", "clock")
    sees(this, "clock", "second None")
    this.write("mika.toml", '[process.web]\nenv = { GREETING = "third" }\n')
    this.ok("restart", "web", "--debug")
    sees(this, "web", "third None")

    starts = len(this.events("started", "web"))
    this.write("mika.toml", "[process.web]\nenv = 5\n")
    told = this.ok("restart", "web")
    assert "nothing of changed settings is taken: mika.toml:2: 'env' must be a table" in told.text
    poll_until(lambda: len(this.events("started", "web")) == starts + 1, 15, "the restart")
    poll_until(lambda: this.log("web").count("sees third None") == 2, 15, "web is as it was")


def test_a_restart_takes_an_environment_that_was_made_meanwhile_with_watch_too(project):
    this = project(scripts={"web": SAYS, "clock": SAYS})
    this.ok("up", "-d", "--watch")
    scripts = this.folder / ".venv" / ("bin" if POSIX else "Scripts")
    scripts.mkdir(parents=True)
    this.write(".venv/pyvenv.cfg", f"home = {Path(sys.base_prefix)}\n")
    program = scripts / ("python" if POSIX else "python.exe")
    program.write_bytes(b"")
    told = this.mika("restart", "web", "--timeout", "1")
    assert "web takes changed settings: PATH, VIRTUAL_ENV" in told.text
    assert len(this.events("started", "clock")) == 1
