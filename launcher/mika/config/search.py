"""Finds the project: the folder given with -C, or else, as git does, the nearest folder upwards that looks like one."""

from __future__ import annotations

import re
from pathlib import Path

from mika.wording import _

# Parsing the TOML would cost every command 10 ms, and the header of a table is easy to recognize.
_TABLE = re.compile(rb"^\s*\[tool\.mika[.\]]", re.MULTILINE)


def find_project(start: Path) -> Path:
    """`start` or the nearest folder above it with a Procfile, a mika.toml or a [tool.mika]; else `start`.

    A project without any of them counts while its stack runs, so that commands work in its subfolders.
    """
    return next((folder for folder in (start, *start.parents) if _is_project(folder)), start)


def misnamed(project: Path, *names: str) -> list[str]:
    """Of these files, those that Notepad has saved as `NAME.txt`; Explorer does not show that."""
    wrong = [name for name in names if (project / f"{name}.txt").is_file() and not (project / name).exists()]
    return [_("{file} is not read: rename it to {name}", file=f"{name}.txt", name=name) for name in wrong]


def _is_project(folder: Path) -> bool:
    try:
        if any((folder / name).is_file() for name in ("Procfile", "mika.toml", ".mika/run/state.json")):
            return True
        return _TABLE.search((folder / "pyproject.toml").read_bytes()) is not None
    except OSError:  # it does not exist, or is not readable
        return False
