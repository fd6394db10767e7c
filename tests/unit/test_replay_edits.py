"""The table of edits fits the workflows that it edits. What the edits do: tests/integration/replay."""

from __future__ import annotations

import pytest

from tests.kit.replay.edits import EDITS
from tests.kit.replay.opened import KINDS


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.name)
def test_an_edit_can_be_made(tmp_path, edit):
    edit.apply(tmp_path)
    source = (tmp_path / "bed" / edit.file).read_text(encoding="utf-8")
    if edit.ends != "SyntaxError":
        compile(source, edit.file, "exec")
    assert edit.types <= set(KINDS)


def test_there_are_enough_edits_of_each_sort():
    assert len(EDITS) >= 60
    assert sum(bool(edit.breaks or edit.gone) for edit in EDITS) >= 40
    assert sum(not (edit.breaks or edit.gone or edit.ends) for edit in EDITS) >= 15
