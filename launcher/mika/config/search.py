"""Where the project is: the folder that -C names, else the nearest one upwards that looks like one, as git does."""

from __future__ import annotations

import re
from pathlib import Path

# Not parsed: that would cost every command 10 ms, and a table's header is plain enough.
_TABLE = re.compile(rb"^\s*\[tool\.mika[.\]]", re.MULTILINE)


def find_project(start: Path) -> Path:
    """`start` or the nearest folder above it with a Procfile, a mika.toml or a [tool.mika]; else `start`."""
    return next((folder for folder in (start, *start.parents) if _is_project(folder)), start)


def _is_project(folder: Path) -> bool:
    try:
        if (folder / "Procfile").is_file() or (folder / "mika.toml").is_file():
            return True
        return _TABLE.search((folder / "pyproject.toml").read_bytes()) is not None
    except OSError:  # there is none, or it is not ours to read
        return False
