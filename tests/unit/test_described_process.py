"""`mika describe`: what the system does not tell is left out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import psutil
import pytest
from mika.cli.describe import _running, environment
from mika.config.settings import MASK

from tests.kit.config import load


@pytest.mark.parametrize("error", [OSError("NtQuerySystemInformation"), psutil.AccessDenied()])
def test_a_program_that_windows_does_not_tell(monkeypatch: pytest.MonkeyPatch, error: Exception):
    def fail(_process: psutil.Process) -> NoReturn:
        raise error

    monkeypatch.setattr(psutil.Process, "exe", fail)
    found = _running(os.getpid())
    assert found is not None
    assert (found.program, Path(found.folder)) == ("", Path.cwd())
    monkeypatch.setattr(psutil.Process, "cmdline", fail)
    assert _running(os.getpid()) is None


def test_names_are_in_capitals_on_windows(tmp_path: Path):
    """There psutil tells `MyVar` as MYVAR: it is still the one of mika.toml."""
    (tmp_path / "mika.toml").write_text('[process.web.env]\nMyVar = "1"\n', encoding="utf-8")
    (tmp_path / "Procfile").write_text("web: x\n", encoding="utf-8")
    rows = environment(load(tmp_path), "web", {"MYVAR": "1"}, "win32")
    assert [(name, value) for name, value, _origin in rows] == [("MYVAR", "1")]
    assert rows[0][2].startswith("mika.toml")


def test_a_default_is_not_where_another_value_came_from(tmp_path):
    """`LLM_API_KEY=… mika up`, and `mika describe` in another terminal."""
    rows = environment(load(tmp_path), "web", {"LLM_API_KEY": "x", "TEMPORAL_PORT": "7000", "MIKA_PROCESS": "web"})
    assert rows == [
        ("LLM_API_KEY", MASK, "where `mika up` was started"),
        ("MIKA_PROCESS", "web", "mika"),
        ("TEMPORAL_PORT", "7000", "where `mika up` was started"),
    ]
