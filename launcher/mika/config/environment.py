"""Which Python environment a process runs in: that of its own folder, of the project, or the active one.

Files are only read: no tool is asked, since that may take seconds, or run a project's code.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mika.frozen import frozen

_NAMES = (".venv", "venv", "env")
_SCRIPTS = "Scripts" if os.name == "nt" else "bin"


@frozen
class Environment:
    root: Path

    @property
    def scripts(self) -> Path:
        return self.root / _SCRIPTS


def without_twins(env: Mapping[str, str], platform: str = sys.platform) -> dict[str, str]:
    """To Windows `Path` and `PATH` are one variable: the last one counts. A process that gets both may use either."""
    if platform != "win32":
        return dict(env)
    return dict({name.upper(): (name, value) for name, value in env.items()}.values())


def find_environment(folders: Sequence[Path], base: Mapping[str, str]) -> Environment | None:
    """The first environment of `folders`, else the active one; None to leave PATH as it is.

    Never mika's own: its packages would hide that the project lacks some.
    """
    active = base.get("VIRTUAL_ENV")
    candidates = [*(root for folder in folders for root in _of(folder, base)), *([Path(active)] if active else [])]
    for root in candidates:
        if any((root / _SCRIPTS / python).exists() for python in ("python", "python.exe")):
            return Environment(root)
    return None


def between(folder: Path, project: Path) -> list[Path]:
    """Where to look for the environment of a process in `folder`: there and upwards, up to the project."""
    above = [one for one in folder.parents if one.is_relative_to(project) and one != project]
    return [folder, *above, project]


def _of(folder: Path, base: Mapping[str, str]) -> Iterator[Path]:
    for name in _NAMES:
        # A folder called `env` may be anything; `.venv` is what its tool has made.
        if name == ".venv" or (folder / name / "pyvenv.cfg").is_file():
            yield folder / name
    if (folder / "poetry.lock").is_file() or _is_poetrys(folder / "pyproject.toml"):
        yield from _of_poetry(folder, base)


def _is_poetrys(pyproject: Path) -> bool:
    try:
        return re.search(rb"^\[tool\.poetry\b", pyproject.read_bytes(), re.MULTILINE) is not None
    except OSError:
        return False


def _of_poetry(folder: Path, base: Mapping[str, str]) -> Iterator[Path]:
    """Poetry's environments for this folder, in its cache: NAME-HASH-pyVERSION, the newest Python first.

    The hash is that of `EnvManager.generate_env_name` in
    https://github.com/python-poetry/poetry/blob/main/src/poetry/utils/env/env_manager.py
    """
    path = os.path.normcase(os.path.realpath(folder))
    digest = base64.urlsafe_b64encode(hashlib.sha256(os.fsencode(path)).digest()).decode()[:8]
    cache = Path(base.get("POETRY_CACHE_DIR") or _cache_of_poetry(base))
    environments = Path(base.get("POETRY_VIRTUALENVS_PATH") or cache / "virtualenvs")
    found = [root for root in environments.glob("*-py*") if root.name.rpartition("-py")[0].endswith(f"-{digest}")]
    yield from sorted(found, key=lambda root: [int(n) for n in root.name.rpartition("-py")[2].split(".")], reverse=True)


def _cache_of_poetry(base: Mapping[str, str]) -> Path:
    home = Path(base.get("USERPROFILE" if os.name == "nt" else "HOME") or Path.home())
    if os.name == "nt":
        return Path(base.get("LOCALAPPDATA") or home / "AppData" / "Local") / "pypoetry" / "Cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "pypoetry"
    return Path(base.get("XDG_CACHE_HOME") or home / ".cache") / "pypoetry"
