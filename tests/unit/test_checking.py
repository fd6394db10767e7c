"""Which process is asked what it runs, before its code is checked."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from mika.config.load import load
from mika.project.folder import ProjectDir
from mika.stack import checking
from mika.status import Phase


@pytest.mark.parametrize(("phase", "pid"), [(Phase.STARTING, 0), (Phase.READY, 7), (Phase.UNHEALTHY, 7)])
def test_a_process_that_is_only_starting_does_not_show_yet_what_it_runs(tmp_path, monkeypatch, phase, pid):
    (tmp_path / "Procfile").write_text("worker: python worker.py\n")
    running = SimpleNamespace(processes=[SimpleNamespace(type="worker", phase=phase, pid=7)])
    monkeypatch.setattr(checking, "_status", lambda _folder: running)
    (program,) = checking.programs(load(tmp_path, {}), ProjectDir(tmp_path), ["worker"])
    assert program.live_pid == pid
