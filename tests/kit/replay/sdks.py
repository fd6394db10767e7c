"""Other versions of Temporal's Python SDK: real old ones, and changed copies of the one that is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import temporalio
from filelock import FileLock

from tests.kit.gomodule import cache_dir
from tests.kit.machine import require_or_skip

OLDEST = "1.18"
"""Of those that mika supports."""
_WITHOUT_PRIVATE_NAMES = ("api", "proto", "contrib", "sdk-core", "src", "__pycache__")


def python_with_sdk(version: str) -> str:
    """The interpreter of an environment with the SDK `version`, made by uv and kept; skips the test if it cannot be."""
    folder = cache_dir() / f"sdk-{version}-py{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    cache_dir().mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock", timeout=300):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _uv("venv", "--quiet", "--python", sys.executable, str(folder))
            _uv("pip", "install", "--quiet", "--python", str(python), f"temporalio=={version}.*")
            (folder / "complete").touch()
    return str(python)


def _uv(*arguments: str) -> None:
    try:
        done = subprocess.run(["uv", *arguments], capture_output=True, text=True, timeout=240, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        require_or_skip("sdk", f"uv: {error}")
    if done.returncode:
        require_or_skip("sdk", f"uv {' '.join(arguments)}: {done.stderr.strip()[-300:]}")


def changed_sdk(folder: Path, renames: Mapping[str, str], moved: Mapping[str, str] | None = None) -> Path:
    """A folder for PYTHONPATH with the installed SDK in which names are others (old → new), and files elsewhere.

    It works as before, for a program that uses only the public names.
    """
    _copy(Path(temporalio.__file__).parent, folder / "temporalio", renames)
    for old, new in (moved or {}).items():
        (folder / "temporalio" / old).rename(folder / "temporalio" / new)
    return folder


def _copy(source: Path, target: Path, renames: Mapping[str, str]) -> None:
    target.mkdir()
    for entry in source.iterdir():
        copy = target / entry.name
        if entry.is_dir() and entry.name not in _WITHOUT_PRIVATE_NAMES:
            _copy(entry, copy, renames)
        elif entry.suffix == ".py":
            text = entry.read_text(encoding="utf-8")
            for old, new in renames.items():
                text = text.replace(old, new)
            copy.write_text(text, encoding="utf-8")
        elif entry.name != "__pycache__":
            copy.symlink_to(entry)
