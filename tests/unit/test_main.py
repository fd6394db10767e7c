"""The one place where an error becomes lines."""

from __future__ import annotations

import sys

import pytest
from mika.cli import main


@pytest.mark.parametrize(("setting", "coloured"), [("NO_COLOR", False), ("FORCE_COLOR", True), (None, True)])
def test_an_error_has_colours_as_all_else(
    setting: str | None, coloured: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    if setting is not None:
        monkeypatch.setenv(setting, "1")
    assert main.run(["statsu"]) == 2
    said = capsys.readouterr().err
    assert "mika:" in said
    assert ("\x1b[" in said) == coloured
