"""What to run where a program did not find something that an installation or a build of the project makes."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING

from mika.config.environment import between, find_environment
from mika.wording import _

if TYPE_CHECKING:
    from mika.supervisor.diagnose import Missing


def fix_for_missing(project: Path, cwd: Path, missing: Missing) -> str:
    """The fix for a program that runs in `cwd`; empty if none is known. Blocks as long as a look at all files takes."""
    if missing.kind == "python":
        return _for_python(project, cwd, missing.name)
    if not cwd.is_relative_to(project):
        return ""
    folder = cwd.relative_to(project).as_posix()
    return _for_node(project, "" if folder == "." else folder, missing)


def fix_for_script(project: Path, cwd: Path, script: str) -> str:
    """For a program that is not on PATH: the commands that install it, if the project makes it; else empty."""
    from mika.detect.environments import how_to_install_script

    return how_to_install_script(project, cwd, script, _python(project, cwd))


def _for_python(project: Path, cwd: Path, package: str) -> str:
    from mika.detect.environments import how_to_install

    if any((f / package).is_dir() or (f / f"{package}.py").is_file() for f in (cwd, cwd / "src", project)):
        return ""
    python = _python(project, cwd)
    # An environment that is there may have all that is declared.
    is_there = any((f / name).is_dir() for f in (cwd, project) for name in (".venv", "venv", "env"))
    commands = how_to_install(project, cwd, python, package if is_there or python is not None else "")
    return _installs(commands) if commands else ""


def _python(project: Path, cwd: Path) -> Path | None:
    """That of the environment which a program in `cwd` has, if there is one."""
    environment = find_environment(between(cwd, project), os.environ)
    return environment.scripts / "python" if environment is not None else None


def _for_node(project: Path, folder: str, missing: Missing) -> str:
    from mika.detect import package_json
    from mika.detect.environments import in_folder, node_tooling
    from mika.detect.files import Files, upwards

    files = Files(project)
    manifests = {f: text for f in upwards(folder) if (text := files.text(posixpath.join(f, "package.json")))}
    if not manifests:
        return ""
    tools = node_tooling(files, folder)
    if missing.kind == "built":
        building = [f for f, text in manifests.items() if "build" in package_json.scripts(text)]
        home = tools.folder if tools.folder in building else next(iter(building), None)
        command = None if home is None else in_folder(f"`{tools.tool} run build`", home)
        return _("a build usually makes this file: run {command}", command=command) if command else ""
    is_declared = missing.name in package_json.dependencies(next(iter(manifests.values())))
    is_installed = any((project / f / "node_modules").is_dir() for f in manifests)
    return _installs(in_folder(tools.install(), tools.folder)) if is_declared or not is_installed else ""


def _installs(commands: str) -> str:
    return _("{commands} installs what the project needs", commands=commands)
