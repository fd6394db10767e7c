"""What the tests of the configuration share."""

from __future__ import annotations

from pathlib import Path

import pytest
from mika.config import load as config
from mika.errors import UsageError


def load(folder: Path, environ: dict[str, str] | None = None, **overrides: str | None) -> config.Config:
    return config.load(folder, overrides, environ or {})


def failure(folder: Path, environ: dict[str, str] | None = None, **overrides: str | None) -> str:
    with pytest.raises(UsageError) as caught:
        load(folder, environ, **overrides)
    assert caught.value.exit_code == 2
    assert "\n" not in caught.value.message
    return caught.value.message
