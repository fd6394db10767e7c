"""Which tool makes the environment of a part of the project: the nearest folder upwards that declares one."""

from __future__ import annotations

import os
import posixpath
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from mika.detect import documented, package_json
from mika.detect.files import Files, upwards
from mika.frozen import frozen
from mika.quoting import quoted
from mika.wording import Text, _, joined

_SCRIPT = re.compile(r"[A-Za-z0-9][\w.-]*")
_NODES = ("npm", "pnpm", "yarn", "bun")
_OTHERS = {".go": "go", ".cs": "dotnet", ".java": "java", ".kt": "java"}
_OTHERS |= dict.fromkeys((".ts", ".mts", ".cts", ".js", ".mjs", ".cjs"), "npm")
"""What keeps the packages of the other languages."""


@frozen
class Tooling:
    """`tool` is uv, poetry, pip or the like, or that of another language; empty if no folder declares an environment.

    `packages` are what pip is to install.
    """

    tool: str = ""
    folder: str = ""
    packages: str = ""

    @property
    def is_node(self) -> bool:
        """Its packages are in `node_modules`."""
        return self.tool in _NODES

    @property
    def is_kept(self) -> bool:
        """It has an environment, which somebody has to make."""
        return self.tool in ("uv", "pip", "poetry", "pipenv", "pdm", "rye", "hatch", *_NODES)

    @property
    def is_elsewhere(self) -> bool:
        """It has an environment in a place of its own, which is there for mika only while it is active."""
        return self.tool in ("pixi", "conda")

    def install(self, python: str = "") -> str:
        """The commands that install its packages, for its folder; `python` is that of an environment that exists."""
        match self.tool:
            case "uv":
                return "`uv sync`"
            case "rye":
                return "`rye sync`"
            case "hatch":
                return joined(_(", then "), ["`hatch env create`", "`hatch run mika up`"])
            case "pixi":
                return joined(_(", then "), ["`pixi install`", "`pixi run mika up`"])
            case "conda":
                activate = _("`conda activate` with its name")
                return joined(_(", then "), ["`conda env create -f environment.yml`", activate])
            case "pip":
                made = python or (r".venv\Scripts\python" if os.name == "nt" else ".venv/bin/python")
                steps = [] if python else ["`python -m venv .venv`"]
                return joined(_(", then "), [*steps, f"`{quoted(made)} -m pip install {self.packages}`"])
        return f"`{self.tool} install`"


def tooling(files: Files, path: str) -> Tooling:
    """For a file of the project."""
    folder = posixpath.dirname(path)
    if tool := _OTHERS.get(posixpath.splitext(path)[1]):
        return node_tooling(files, folder) if tool == "npm" else Tooling(tool)
    return python_tooling(files, folder)


def python_tooling(files: Files, start: str) -> Tooling:
    """For the Python programs in a folder of the project."""
    found = Tooling()
    for folder in upwards(start):
        tool = _tool(files, folder)
        # A member of a uv workspace has a pyproject.toml, and the lock and the environment are further up.
        is_workspace = found.tool == "uv" and _is_member(files, folder, found.folder)
        if tool and (not found.tool or (found.tool, tool) == ("pip", "uv") or is_workspace):
            has_list = posixpath.join(folder, "requirements.txt") in files
            found = Tooling(tool, folder, ("-r requirements.txt" if has_list else "-e .") if tool == "pip" else "")
    named = "" if found.tool else documented.packages(files)
    return Tooling("pip", "", named) if named else found


def how_to_install(project: Path, folder: Path, python: Path | None = None) -> str:
    """The commands that install what the Python programs in `folder` need; empty if nothing declares it.

    `python` is that of an environment that exists. Blocks as long as a look at all files takes.
    """
    if not folder.is_relative_to(project):
        return ""
    relative = folder.relative_to(project).as_posix()
    found = python_tooling(Files(project), "" if relative == "." else relative)
    if not found.tool:
        return ""
    home = project / found.folder
    if python is not None and python.is_relative_to(home):
        python = python.relative_to(home)
    return in_folder(found.install(str(python or "")), found.folder)


def in_folder(commands: str, folder: str) -> str:
    return _("{commands} in {folder}", commands=commands, folder=folder) if folder else commands


def how_to_add(project: Path, package: str, python: Path) -> str:
    """The command that adds a package for developing to the environment of `python`."""
    home = python.parent.parent.parent
    is_inside = home.is_relative_to(project)
    relative = home.relative_to(project).as_posix() if is_inside else "."
    found = python_tooling(Files(project), "" if relative == "." else relative)
    match found.tool:
        case "uv" if is_inside:
            return in_folder(f"`uv add --dev {package}`", found.folder)
        case "poetry":
            return in_folder(f"`poetry add --group dev {package}`", found.folder)
        case "pipenv":
            return in_folder(f"`pipenv install --dev {package}`", found.folder)
    shown = quoted(python)
    if is_inside and shown != str(python):  # PowerShell runs no program whose path is in quotes
        shown = quoted(python.relative_to(project))
    return f"`{shown} -m pip install {package}`"


def node_tooling(files: Files, start: str) -> Tooling:
    """For the JavaScript in a folder of the project."""
    home = next((folder for folder in upwards(start) if posixpath.join(folder, "package.json") in files), "")
    locks = {"pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "bun.lock": "bun", "bun.lockb": "bun"}
    for folder in upwards(home):  # a workspace has its lock further up
        if tool := package_json.manager(files.text(posixpath.join(folder, "package.json"))):
            return Tooling(tool, folder) if tool in _NODES else Tooling("npm", home)
        for lock, tool in locks.items():
            if posixpath.join(folder, lock) in files:
                return Tooling(tool, folder)
    workspace = (f for f in upwards(home) if package_json.has_workspaces(files.text(posixpath.join(f, "package.json"))))
    return Tooling("npm", next(workspace, home))


def in_other_places(found: Iterable[Tooling], variables: Mapping[str, str]) -> Iterator[Text]:
    """A line for each of those that are not active: `pixi run` and `conda activate` tell by a variable."""
    for one in dict.fromkeys(found):
        if one.is_elsewhere and "CONDA_PREFIX" not in variables:
            yield _(
                "the environment is one of {tool}, and mika must be started in it: {commands}",
                tool=one.tool,
                commands=one.install(),
            )


def installed_scripts(files: Files, folder: str) -> dict[str, str]:
    """The programs that installing the project in `folder` makes: `module:function` -> name."""
    project = _toml(files, folder)
    tools = _tools(files, folder)
    poetry, uv = (table if isinstance(table, dict) else {} for table in (tools.get("poetry"), tools.get("uv")))
    is_package = "build-system" in project and uv.get("package", True) and poetry.get("package-mode", True)
    declared_ones = project.get("project")
    tables = [table.get("scripts") for table in (declared_ones, poetry) if isinstance(table, dict)]
    found = {name: target for table in tables if isinstance(table, dict) for name, target in table.items()}
    return {
        target: name
        for name, target in found.items()
        if isinstance(target, str) and _SCRIPT.fullmatch(name) and (is_package or _is_installed(files, folder, name))
    }


def _is_installed(files: Files, folder: str, script: str) -> bool:
    """Whether an environment in `folder` has the script: pip makes it also without a `[build-system]`."""
    places = ("bin/{}", "Scripts/{}.exe")
    return any(
        (files.root / folder / name / place.format(script)).is_file()
        for name in (".venv", "venv", "env")
        for place in places
    )


def _is_member(files: Files, folder: str, part: str) -> bool:
    """Whether `part` is in the uv workspace of `folder`."""
    workspace = _tools(files, folder).get("uv", {})
    members = workspace.get("workspace", {}).get("members", []) if isinstance(workspace, dict) else []
    relative = posixpath.relpath(part, folder or ".")
    return isinstance(members, list) and any(isinstance(m, str) and PurePosixPath(relative).match(m) for m in members)


def _tools(files: Files, folder: str) -> dict[str, Any]:
    """The tables below `[tool]` of its pyproject.toml."""
    tools = _toml(files, folder).get("tool")
    return tools if isinstance(tools, dict) else {}


def _toml(files: Files, folder: str) -> dict[str, Any]:
    path = posixpath.join(folder, "pyproject.toml")
    try:
        return tomllib.loads(files.text(path)) if path in files else {}
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def _tool(files: Files, folder: str) -> str:
    def has(*names: str) -> bool:
        return any(posixpath.join(folder, name) in files for name in names)

    of_project = _tools(files, folder)
    if has("uv.lock") or "uv" in of_project:
        return "uv"
    if has("poetry.lock") or "poetry" in of_project:
        return "poetry"
    if has("Pipfile"):
        return "pipenv"
    if has("pdm.lock") or _table(of_project, "pdm").keys() - {"build", "version"}:  # those are of its build backend
        return "pdm"
    if "rye" in of_project:
        return "rye"
    if "envs" in _table(of_project, "hatch"):
        return "hatch"
    if has("pixi.toml") or "pixi" in of_project:
        return "pixi"
    if has("requirements.txt", "pyproject.toml", "setup.py"):
        return "pip"
    return "conda" if has("environment.yml") else ""


def _table(tools: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = tools.get(name)
    return table if isinstance(table, dict) else {}
