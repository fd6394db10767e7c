"""One run of services, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.guard import Run


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    this = Run(tmp_path)
    try:
        yield this
    finally:
        this.kill_all()
