"""What the tests of this folder share."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from mika.cli.spelling import use_folder


@pytest.fixture(autouse=True)
def typed_as_mika(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hint names mika as the user called it; here it is called by pytest, with or without `uv run`."""
    monkeypatch.delenv("UV_RUN_RECURSION_DEPTH", raising=False)
    monkeypatch.setattr(sys, "argv", ["mika"])
    use_folder(None)
    yield
    use_folder(None)
