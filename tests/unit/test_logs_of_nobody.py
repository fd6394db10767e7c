"""`mika logs NAME` where nothing runs and NAME has no log."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mika.cli.logs import _choose
from mika.control.client import Client
from mika.errors import UsageError
from mika.project.folder import ProjectDir


def test_a_process_of_the_procfile_that_never_wrote_is_not_called_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Procfile").write_text("quiet: sleep 9\nweb: serve\n", encoding="utf-8")
    folder = ProjectDir(tmp_path)
    context = cast("Any", SimpleNamespace(folder=folder, client=Client(folder)))
    assert _choose(context, ["quiet", "web"], ["mika", "web"]) == ["quiet", "web"]
    assert capsys.readouterr().err == "mika: quiet has written nothing yet\n"
    with pytest.raises(UsageError, match="no log is named 'quite'"):
        _choose(context, ["quite"], ["mika", "web"])
