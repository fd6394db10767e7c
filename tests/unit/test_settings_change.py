"""What `mika start NAME` and `mika restart NAME` say of a name that the running stack does not have."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mika.errors import UsageError
from mika.events import Bus
from mika.stack.settings_change import take
from mika.supervisor.supervisor import Supervisor

from tests.kit.doctor import load


def refused(project: Path, name: str) -> UsageError:
    prepared = cast("Any", SimpleNamespace(config=load(project)))
    supervisor = Supervisor([], "run", Bus())
    with pytest.raises(UsageError) as told:
        asyncio.run(take(prepared, cast("Any", SimpleNamespace(watch=False)), supervisor, "start", [name], Bus()))
    return told.value


def test_a_process_that_the_procfile_has_got_since_is_not_called_unknown(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("web: serve\nextra: work\n", encoding="utf-8")
    error = refused(tmp_path, "extra")
    assert error.message.startswith("extra: not part of the running stack (")
    assert error.hint == "run `mika down`, then `mika up` with all processes that you need"
    assert refused(tmp_path, "extar").message.startswith("no process is named 'extar'")


def test_a_broken_procfile_hides_no_unknown_name(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("extra work\n", encoding="utf-8")
    assert refused(tmp_path, "extra").message.startswith("no process is named 'extra'")
