"""Environments with packages that the tests' own does not have."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from filelock import FileLock

from tests.kit.gomodule import cache_dir
from tests.kit.machine import only_if_required, require_or_skip


def python_with(package: str, version: str, name: str) -> str:
    """The interpreter of an environment with that package (`1.18`: the latest of 1.18), made by uv and kept.

    Skips the test unless it is required, and can be made. `name` is that of the folder, and the word in MIKA_REQUIRE.
    """
    only_if_required(name)
    folder = cache_dir() / f"{name}-{version}-py{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    cache_dir().mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock", timeout=300):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _uv(name, "venv", "--quiet", "--python", sys.executable, str(folder))
            _uv(name, "pip", "install", "--quiet", "--python", str(python), f"{package}=={version}.*")
            (folder / "complete").touch()
    return str(python)


def _uv(name: str, *arguments: str) -> None:
    try:
        done = subprocess.run(["uv", *arguments], capture_output=True, text=True, timeout=240, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        require_or_skip(name, f"uv: {error}")
    if done.returncode:
        require_or_skip(name, f"uv {' '.join(arguments)}: {done.stderr.strip()[-300:]}")
