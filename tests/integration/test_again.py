"""A second `up`, and commands while the configuration is broken."""

from __future__ import annotations

import shutil

import pytest

from tests.kit.machine import POSIX, free_port
from tests.kit.programs import SLEEP


def test_up_starts_what_was_stopped_and_a_broken_env_file_keeps_nobody_from_stopping(project):
    this = project(scripts={"web": SLEEP, "clock": SLEEP})
    this.up()
    this.ok("stop", "web", "clock")
    assert "already up" in this.up("web").out
    assert this.unit("web")["state"] == "ready"
    assert this.unit("clock")["state"] == "stopped", "it was not asked for"
    this.up()
    assert this.unit("clock")["state"] == "ready"

    procfile = (this.folder / "Procfile").read_text(encoding="utf-8")
    this.write("Procfile", procfile + "mailer: python web.py\n")
    assert "already up, without mailer: `mika down`, then `mika up` starts" in this.up().out
    assert "mailer" not in this.up("web").out, "it was not asked for"
    this.write("Procfile", "web: python web.py\n")
    assert "already up, with clock, which the Procfile no longer has" in this.up().out
    this.write("Procfile", procfile)

    this.write(".env", "FOO\n")
    this.ok("restart", "web")
    down = this.ok("down")
    assert "stopped" in down.out
    assert ".env:1" in down.err
    this.assert_gone()


def test_only_a_backend_that_became_ready_is_remembered_and_a_deleted_folder_ends_the_stack(project):
    with free_port() as port:
        this = project(scripts={"web": SLEEP, "clock": SLEEP}, env={"TEMPORAL_PORT": str(port)})
        failed = this.error("up", "-d", "--backend", "external", "--timeout", "2", code=1)
        hint = "start that server, or correct TEMPORAL_PORT (environment) (`mika config` shows all settings)"
        for text in ("temporal", "port open", "refused", "not ready after 2 s", hint):
            assert text in failed.err
        assert "mika logs" not in failed.err
    this.assert_gone()
    remembered = this.folder / ".mika" / "data" / "backend"
    assert not remembered.exists()
    running = this.start_mika("up", "web")
    this.wait_state("web", "ready")
    assert remembered.read_text() == "none\n"
    refused = this.error("up", "-d", "clock", code=1)
    assert "clock: not part of the running stack (web)" in refused.err
    if POSIX:
        shutil.rmtree(this.folder / ".mika")
        assert running.wait() == 0
        assert "was deleted or renamed while the stack is running" in running.output()


@pytest.mark.skipif(not POSIX, reason="Windows renames no folder in which a process works")
def test_a_renamed_project_is_not_up_any_more(project):
    """`mv shop store`, and there at once `mika up -d`: the stack of the old place is about to stop."""
    this = project(scripts={"web": SLEEP})
    this.up()
    old = this.folder
    new = old.rename(old.with_name("renamed"))
    try:
        this.folder = new
        assert this.mika("status").code in (1, 3), "it ends, or has ended"
        this.ok("up", "-d")
        assert this.status()["state"] == "ready"
        assert len(this.events("started", "web")) == 2, "it was started anew where it is now"
    finally:
        this.ok("down")
        new.rename(old)


def test_a_host_that_does_not_exist_is_told_at_once_with_its_setting(project):
    this = project(scripts={"web": SLEEP}, backend="external")
    this.write(".env", "TEMPORAL_ADDRESS=nohost.invalid:7233\n")
    failed = this.error("up", "-d", "--timeout", "60", code=1)
    assert "temporal: there is no host `nohost.invalid`: the name is from TEMPORAL_ADDRESS (.env:1)\n" in failed.err
    assert "correct it there (`mika config` shows all settings)" in failed.err
    assert "mika logs" not in failed.err


@pytest.mark.skipif(not POSIX, reason="Windows deletes no folder in which a process works")
def test_a_deleted_project_does_not_come_back(project):
    """`git worktree remove` while it is up; git could not make it anew where a log is."""
    this = project(scripts={"web": "import time\nwhile True: print('on', flush=True); time.sleep(0.01)\n"})
    this.up()
    shutil.rmtree(this.folder)
    this.assert_gone(timeout=10)
    assert not this.folder.exists()
