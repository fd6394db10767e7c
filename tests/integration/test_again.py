"""A second `up`, and commands while the configuration is broken."""

from __future__ import annotations

import shutil

from tests.kit.machine import free_port, posix_only
from tests.kit.programs import SLEEP


def test_up_of_what_is_up_starts_what_was_stopped(project):
    this = project(scripts={"web": SLEEP, "clock": SLEEP})
    this.up()
    this.ok("stop", "web", "clock")
    assert "already up" in this.up("web").out
    assert this.unit("web")["state"] == "ready"
    assert this.unit("clock")["state"] == "stopped", "it was not asked for"
    this.up()
    assert this.unit("clock")["state"] == "ready"


def test_up_of_what_is_up_revives_what_gave_up(project):
    this = project(scripts={"web": SLEEP, "clock": "import nothing_of_that_name\n"})
    this.up("web")
    error = this.error("up", "-d", "clock", code=1)
    assert "clock: not part of the running stack (web)" in error.err


def test_a_broken_env_file_keeps_nobody_from_stopping(project):
    this = project(scripts={"web": SLEEP})
    this.up()
    this.write(".env", "FOO\n")
    this.ok("restart", "web")
    down = this.ok("down")
    assert "stopped" in down.out
    assert ".env:1" in down.err
    this.assert_gone()


def test_a_backend_that_did_not_become_ready_is_not_remembered(project):
    with free_port() as port:
        this = project(scripts={"web": SLEEP}, env={"TEMPORAL_PORT": str(port)})
        failed = this.error("up", "-d", "--backend", "external", "--timeout", "2", code=1)
        assert "refused" in failed.err
    assert not (this.folder / ".mika" / "data" / "backend").exists()
    this.up()
    assert (this.folder / ".mika" / "data" / "backend").read_text() == "none\n"


@posix_only
def test_a_deleted_folder_ends_the_stack(project):
    this = project(scripts={"web": SLEEP})
    running = this.start_mika("up")
    this.wait_state("web", "ready")
    shutil.rmtree(this.folder / ".mika")
    assert running.wait() == 0
    assert "was deleted while the stack is running" in running.output()
