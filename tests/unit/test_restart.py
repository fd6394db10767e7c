"""What `mika restart` does before it restarts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mika.cli.context import Context
from mika.cli.process import _check_first
from mika.project.folder import ProjectDir
from mika.status import Phase, StackStatus, UnitStatus


@pytest.mark.parametrize(
    ("name", "text"), [("mika.toml", "[process.worker"), ("mika.toml", "[process.wroker]\n"), ("Procfile", "worker")]
)
def test_a_mistake_in_the_settings_keeps_no_worker_from_its_restart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str
) -> None:
    (tmp_path / "Procfile").write_text("worker: python worker.py\n", encoding="utf-8")
    (tmp_path / name).write_text(text, encoding="utf-8")
    unit = UnitStatus(name="worker", role="process", type="worker", phase=Phase.READY, pid=1, address="worker:orders")
    status = StackStatus(state="ready", backend="none", supervisor_pid=1, uptime_s=1.0, processes=(unit,))
    real = Context(tmp_path)
    context = SimpleNamespace(
        client=SimpleNamespace(status=lambda: status), load_started=real.load_started, folder=ProjectDir(tmp_path)
    )
    _check_first(cast("Any", context), ("worker",), "`mika restart worker --force`", as_json=False)
    assert capsys.readouterr().err.startswith(f"worker: the new code was not checked: {name}:1")
