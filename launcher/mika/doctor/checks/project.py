"""Checks of the project and of the disk that it is on: nothing here needs a running stack."""

from __future__ import annotations

import contextlib
import platform
import shutil
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from mika.doctor.check import Check, fail, ok, warn
from mika.doctor.examination import Examination
from mika.errors import UsageError
from mika.machine.local import in_thread
from mika.procfile import entries as procfile

_DISK_FAIL, _DISK_WARN = 200e6, 1e9


async def config(exam: Examination) -> Check:
    """The Procfile; the settings have been read already, or nothing could be checked."""
    settings, project = exam.config.settings, exam.config.project
    if not (project / "Procfile").exists():
        fix = "`mika init` writes one from what it finds; or give the project's folder: `mika -C DIR doctor`"
        return warn("config", f"no Procfile in {project}", fix)
    try:
        procfile.read(project / "Procfile")
    except UsageError as error:
        return fail("config", error.message, error.hint or "fix that line of the Procfile")
    if settings["LLM_BASE_URL"].value and not settings["LLM_MODEL"].value:
        return warn(
            "config", "LLM_BASE_URL is set, and LLM_MODEL is not", "set LLM_MODEL to a model that the server has"
        )
    own = sum(setting.origin != "default" for setting in settings.values())
    return ok("config", f"{own} settings of your own, the rest are defaults (`mika config`)")


async def versions(exam: Examination) -> Check:
    """Python and packages against what the project asks for."""
    unmet = await in_thread(lambda: list(_unmet(exam.config.project)))
    if unmet:
        more = f" (and {len(unmet) - 1} more)" if len(unmet) > 1 else ""
        return warn("versions", f"{unmet[0]}{more}", "`uv sync`, or `pip install -e .` in its environment")
    text = f"Python {platform.python_version()}, temporalio {metadata.version('temporalio')}"
    server = await exam.server() if exam.wants_temporal else None
    if server is None or not server.up:
        return ok("versions", text)
    text += f", Temporal server {server.version}"
    if _major(server.version) > 1:
        return warn("versions", f"{text}: this SDK knows servers before 2.0", "install a newer temporalio")
    return ok("versions", text)


def _major(version: str) -> int:
    number = version.partition(".")[0]
    return int(number) if number.isdecimal() else 0


def _unmet(project: Path) -> Iterator[str]:
    """What the project asks for and does not have."""
    try:
        table = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
        from packaging.requirements import InvalidRequirement, Requirement
        from packaging.specifiers import InvalidSpecifier, SpecifierSet
    except (OSError, ValueError, ImportError):  # without `packaging`, nobody can say what `>=1,<2` means
        return
    with contextlib.suppress(InvalidSpecifier):
        wanted = SpecifierSet(str(table.get("requires-python", "")))
        if not wanted.contains(platform.python_version(), prereleases=True):
            yield f"Python is {platform.python_version()}, and pyproject.toml asks for {wanted}"
    path = _site_packages(project)
    for line in table.get("dependencies", []):
        with contextlib.suppress(InvalidRequirement, InvalidSpecifier):
            need = Requirement(line)
            if need.marker is not None and not need.marker.evaluate():
                continue
            installed = next(iter(metadata.distributions(name=need.name, path=path)), None)
            if installed is None:
                yield f"the package {need.name} is not installed"
            elif not need.specifier.contains(installed.version, prereleases=True):
                yield f"{need.name} is {installed.version}, and pyproject.toml asks for {need.specifier}"


def _site_packages(project: Path) -> list[str]:
    """Where the bot's packages are: the project's own environment, else the one of this program."""
    patterns = ("lib/python*/site-packages", "Lib/site-packages")
    return [str(path) for pattern in patterns for path in (project / ".venv").glob(pattern)] or sys.path


async def disk(exam: Examination) -> Check:
    folder = exam.folder.root if exam.folder.root.is_dir() else exam.config.project
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return fail("disk", f"{folder} cannot be read: {error.strerror or error}", "check the folder")
    text = f"{free / 1e9:.1f} GB free for {folder}"
    fix = "free some space: `mika down --volumes` deletes the data of this project"
    if free < _DISK_FAIL:
        return fail("disk", text, fix)
    return warn("disk", text, fix) if free < _DISK_WARN else ok("disk", text)
