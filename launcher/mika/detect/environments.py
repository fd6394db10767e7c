"""Which environment a part of the project has: the nearest one, from its folder upwards."""

from __future__ import annotations

import posixpath
import re
import tomllib
from dataclasses import dataclass
from typing import Literal

from mika.detect.files import Files, ancestors

Kind = Literal["venv", "uv", "poetry", "pipenv", "pip", "none"]

# Poetry and pipenv keep environments elsewhere, so nothing can be said about theirs.
_INSTALL: dict[Kind, str] = {"uv": "`uv sync`", "pip": "`python -m venv .venv`, and install its requirements there"}


@dataclass(frozen=True, slots=True)
class Environment:
    """`folder`, relative to the project, declares it. `path` is where it is, if it is there; `version` is Python's."""

    kind: Kind
    folder: str = ""
    path: str = ""
    version: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"{self.path} (Python {self.version})" if self.version else self.path
        if self.kind == "none":
            return "none found"
        return f"{self.kind}: {self.folder or '.'}"

    @property
    def install(self) -> str:
        """How to make it; empty if it is there, or may be elsewhere, or nothing declares it."""
        return "" if self.path else _INSTALL.get(self.kind, "")


def environment_of(files: Files, path: str) -> Environment:
    """The environment for a file of the project: a folder with `pyvenv.cfg`, else what a tool would make."""
    declared = Environment("none")
    for folder in ancestors(path):
        if name := files.environments.get(folder):
            environment = posixpath.join(folder, name)
            return Environment("venv", folder, environment, _version(files, environment))
        kind = _declared(files, folder)
        # A member of a uv workspace has a pyproject.toml, and the lock and the environment are further up.
        if kind is not None and (declared.kind == "none" or (declared.kind, kind) == ("pip", "uv")):
            declared = Environment(kind, folder)
    return declared


def _version(files: Files, environment: str) -> str:
    """What `pyvenv.cfg` says: `version = 3.12.4`, or `version_info` of virtualenv and uv."""
    found = re.search(r"^version(?:_info)?\s*=\s*(\d+\.\d+)", files.text(f"{environment}/pyvenv.cfg"), re.MULTILINE)
    return found[1] if found else ""


def _declared(files: Files, folder: str) -> Kind | None:
    def has(name: str) -> bool:
        return posixpath.join(folder, name) in files

    tool: object = None
    if has("pyproject.toml"):
        try:
            tool = tomllib.loads(files.text(posixpath.join(folder, "pyproject.toml"))).get("tool")
        except (tomllib.TOMLDecodeError, RecursionError):
            tool = None
    tools = tool if isinstance(tool, dict) else {}
    if has("uv.lock") or "uv" in tools:
        return "uv"
    if has("poetry.lock") or "poetry" in tools:
        return "poetry"
    if has("Pipfile"):
        return "pipenv"
    return "pip" if has("pyproject.toml") or has("requirements.txt") or has("setup.py") else None
