"""Which tool makes the environment of a part of the project: the nearest folder upwards that declares one."""

from __future__ import annotations

import os
import posixpath
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from mika.detect import documented, package_json
from mika.detect.files import Files, upwards
from mika.detect.packages import Installed
from mika.frozen import frozen
from mika.quoting import quoted
from mika.wording import Text, _, joined

_LISTS = ("requirements.txt", "pyproject.toml", "Pipfile", "setup.py")
_OF_UV = re.compile(r"^uv *=", re.MULTILINE)
_SCRIPT = re.compile(r"[A-Za-z0-9][\w.-]*")
_NODES = ("npm", "pnpm", "yarn", "bun")
_OTHERS = {".go": "go", ".cs": "dotnet", ".java": "java", ".kt": "java"}
_OTHERS |= dict.fromkeys((".ts", ".mts", ".cts", ".js", ".mjs", ".cjs"), "npm")
"""What keeps the packages of the other languages."""


@frozen
class Tooling:
    """`tool` is uv, poetry, pip or the like, or that of another language; empty if no folder declares an environment.

    `packages` are what pip or uv is to install.
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

    def install(self, pip: str = "") -> str:
        """The commands that install its packages, for its folder; `pip` is that of an environment that exists."""
        match self.tool:
            case "uv":
                return f"`{' '.join(filter(None, ('uv sync', self.packages)))}`"
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
                made = r".venv\Scripts\python" if os.name == "nt" else ".venv/bin/python"
                steps = [] if pip else ["`python -m venv .venv`"]
                return joined(_(", then "), [*steps, f"`{pip or f'{made} -m pip install'} {self.packages}`"])
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
        is_workspace = tool == "uv" and found.tool in ("uv", "pip") and _is_member(files, folder, found.folder)
        if tool and (not found.tool or (found.tool, tool) == ("pip", "uv") or is_workspace):
            listed = "-r requirements.txt" if posixpath.join(folder, "requirements.txt") in files else "-e ."
            # By itself, `uv sync` installs the project at the top alone, if there is one.
            every = "--all-packages" if is_workspace and "project" in _toml(files, folder) else ""
            found = Tooling(tool, folder, listed if tool == "pip" else every)
    named = "" if found.tool else documented.packages(files)
    return Tooling("pip", "", named) if named else found


def how_to_install(project: Path, folder: Path, program: Path | None = None, package: str = "") -> str:
    """The commands that install what the Python programs in `folder` need; empty if nothing declares it.

    `program` is one of an environment that exists. With a `package`, only if it seems to be declared.
    Blocks as long as a look at all files takes.
    """
    if not folder.is_relative_to(project):
        return ""
    files, start = Files(project), _relative(folder, project)
    found = python_tooling(files, start)
    if not found.tool or (package and not _declares(files, start, package)):
        return ""
    return _commands(found, project, program)


def how_to_install_script(project: Path, folder: Path, script: str, program: Path | None = None) -> str:
    """The commands that install the project in or above `folder` whose program is called `script`; empty without."""
    files = Files(project)
    for home in upwards(_relative(folder, project)) if folder.is_relative_to(project) else ():
        if script in installed_scripts(files, home).values():
            found = python_tooling(files, home)
            return _commands(replace(found, packages="-e .") if found.tool == "pip" else found, project, program)
    return ""


def _relative(folder: Path, project: Path) -> str:
    relative = folder.relative_to(project).as_posix()
    return "" if relative == "." else relative


def _commands(found: Tooling, project: Path, program: Path | None) -> str:
    pip, home = "", project / found.folder
    if program is not None:
        python = program.with_name("python")
        shown = quoted(python.relative_to(home) if python.is_relative_to(home) else python)
        pip = _pip(python.parent.parent, shown, home)
    return in_folder(found.install(pip), found.folder)


def _pip(environment: Path, python: str, home: Path) -> str:
    """How to install packages there, from the folder `home`: uv makes environments without pip."""
    if not _OF_UV.search(_text(environment / "pyvenv.cfg")) or "pip" in Installed(environment).names:
        return f"{python} -m pip install"
    return "uv pip install" if environment == home / ".venv" else f"uv pip install --python {python}"


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _declares(files: Files, start: str, package: str) -> bool:
    """Whether a file that lists packages, in a folder or above it, names one that seems to have this module."""
    texts = (files.text(posixpath.join(folder, name)) for folder in upwards(start) for name in _LISTS)
    name = re.escape(package.lower()).replace("_", "[-_.]")
    return any(re.search(rf"(?<![a-z0-9])(?:py)?{name}(?![a-z0-9])", text.lower()) for text in texts)


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
    return f"`{_pip(python.parent.parent, shown, project)} {package}`"


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
