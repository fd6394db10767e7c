"""What may stand where a log file should."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def held_fifo(path: Path) -> None:
    """A FIFO that is open at both ends and full: a test is to fail, not to hang. It is closed with the test process."""
    os.mkfifo(path)
    os.write(os.open(path, os.O_RDWR | os.O_NONBLOCK), b"x" * 4096)


IN_PLACE_OF_A_FILE = [
    Path.mkdir,
    pytest.param(held_fifo, marks=pytest.mark.skipif(os.name == "nt", reason="Windows has no FIFO in a folder")),
]
