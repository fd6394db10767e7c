"""The one place where an error becomes lines."""

from __future__ import annotations

import sys

import click
import pytest
from mika.cli import main
from mika.errors import UsageError


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


def test_what_keeps_a_file_is_told_in_words_of_this_system() -> None:
    in_use = PermissionError(13, "used by another process", "C:\\my dir\\x")
    in_use.winerror = 32  # type: ignore[attr-defined]  # as Windows sets it
    assert main._how_to_get_permission(in_use, "win32").startswith("another program has it open")
    denied = PermissionError(13, "denied", "C:\\my dir\\x")
    assert main._how_to_get_permission(denied, "win32").endswith('`icacls "C:\\my dir\\x"` tells')
    assert main._how_to_get_permission(denied, "linux").endswith("`ls -la 'C:\\my dir\\x'` tells")


def test_a_folder_that_ends_with_a_backslash_in_quotes() -> None:
    """As PowerShell completes it: `-C '.\\my dir\\' status` becomes the words `-C` and `.\\my dir" status`."""
    context, option = click.Context(main.cli), main.cli.params[0]
    with pytest.raises(UsageError) as caught:
        main._check_folder(context, option, '.\\my dir" status', "win32")
    assert caught.value.hint == 'leave it out: -C ".\\my dir"'
    assert main._check_folder(context, option, ".\\my dir", "win32") == ".\\my dir"
    assert main._check_folder(context, option, 'a"b', "linux") == 'a"b', "a name like others"
