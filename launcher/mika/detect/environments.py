"""Which tool makes the environment of a part of the project: the nearest folder upwards that declares one."""

from __future__ import annotations

import posixpath
import tomllib
from dataclasses import dataclass

from mika.detect.files import Files, ancestors


@dataclass(frozen=True, slots=True)
class Declared:
    """`tool` is uv, poetry, pipenv or pip; empty if no folder declares an environment."""

    tool: str = ""
    folder: str = ""

    @property
    def install(self) -> str:
        """The command that makes it, in its folder."""
        make = {"uv": "uv sync", "poetry": "poetry install", "pipenv": "pipenv install", "pip": "python -m venv .venv"}
        return make.get(self.tool, "")


def declared(files: Files, path: str) -> Declared:
    """For a file of the project."""
    found = Declared()
    for folder in ancestors(path):
        tool = _tool(files, folder)
        # A member of a uv workspace has a pyproject.toml, and the lock and the environment are further up.
        if tool and (not found.tool or (found.tool, tool) == ("pip", "uv")):
            found = Declared(tool, folder)
    return found


def _tool(files: Files, folder: str) -> str:
    def has(*names: str) -> bool:
        return any(posixpath.join(folder, name) in files for name in names)

    tools: object = None
    if has("pyproject.toml"):
        try:
            tools = tomllib.loads(files.text(posixpath.join(folder, "pyproject.toml"))).get("tool")
        except (tomllib.TOMLDecodeError, RecursionError):
            tools = None
    of_project = tools if isinstance(tools, dict) else {}
    if has("uv.lock") or "uv" in of_project:
        return "uv"
    if has("poetry.lock") or "poetry" in of_project:
        return "poetry"
    if has("Pipfile"):
        return "pipenv"
    return "pip" if has("pyproject.toml", "requirements.txt", "setup.py") else ""
