"""Check of versions: the Python and the packages that the project's processes have, against what the project asks for.

mika's own Python is of no interest. Files are only read: nothing of the project is run.
"""

from __future__ import annotations

import contextlib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from mika.config.environment import between, find_environment
from mika.decoded import Json
from mika.detect.environments import how_to_install
from mika.detect.files import Files
from mika.detect.packages import Installed
from mika.doctor.check import Check, ok, warn
from mika.doctor.examination import Examination
from mika.frozen import frozen
from mika.machine.local import in_thread
from mika.wording import _, joined

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

_VERSION = re.compile(r"^version(?:_info)?\s*=\s*(\d+\.\d+(?:\.\d+)?)", re.MULTILINE)
_LIST = "requirements.txt"
_COMMENT_OR_OPTION = re.compile(r"(^|\s)(#|--).*|\s*\\$")
_PART = re.compile(r"(\^|~=|~|[<>=!]=|[<>]|)\s*(\d[\w.*]*|\*)")


@frozen
class Home:
    """A part of the project, and the environment of its processes: the Python (`program`), and the version of that."""

    folder: Path
    installed: Installed
    program: Path
    python: str

    @property
    def root(self) -> Path:
        return self.installed.root

    def version(self, package: str) -> str:
        """Of an installed package; empty without it."""
        found = next(iter(metadata.distributions(name=package, path=list(map(str, self.installed.folders)))), None)
        return found.version if found is not None else ""


async def versions(exam: Examination) -> Check:
    """Python and packages of each process."""
    processes, project = await exam.processes(), exam.config.project
    folders = {project / (exam.config.process(process.name).cwd or ".") for process in processes} or {project}
    homes = await in_thread(lambda: list(find_homes(project, sorted(folders))))
    unmet = await in_thread(lambda: [(home, text) for home in homes for text in find_unmet(home)])
    if unmet:
        home, text = unmet[0]
        if len(unmet) > 1:
            text = _("{text} (and {count} more)", text=text, count=len(unmet) - 1)
        install = await in_thread(lambda: how_to_install(project, home.folder, home.program))
        return warn("versions", text, install)
    told = dict.fromkeys(_shown(home, project) for home in homes)
    text = joined(_("; "), told) or await in_thread(lambda: _without(project))
    server = await exam.server() if exam.wants_temporal else None
    if server is None or not server.up:
        return ok("versions", text)
    text = _("{text}; Temporal server {version}", text=text, version=server.version)
    if _major(server.version) > 1:
        return warn("versions", _("{text}: mika knows servers before 2.0", text=text), _("install a newer mika"))
    return ok("versions", text)


def _shown(home: Home, project: Path) -> str:
    root = home.root.relative_to(project).as_posix() if home.root.is_relative_to(project) else str(home.root)
    sdk = home.version("temporalio")
    return f"Python {home.python} ({root})" + (f", temporalio {sdk}" if sdk else "")


def _major(version: str) -> int:
    number = version.partition(".")[0]
    return int(number) if number.isdecimal() else 0


def _without(project: Path) -> str:
    """What to say where no environment was found."""
    is_python = bool(Files(project).python)
    return _("no Python environment of the project was found") if is_python else _("nothing here is in Python")


def find_homes(project: Path, folders: list[Path]) -> Iterator[Home]:
    """The part of the project that each folder belongs to, if its environment says which Python it has."""
    for folder in folders:
        environment = find_environment(between(folder, project), os.environ)
        python = _VERSION.search(_text(environment.root / "pyvenv.cfg")) if environment is not None else None
        if environment is not None and python is not None:
            above = [path for path in (folder, *folder.parents) if path.is_relative_to(project)]
            home = next((path for path in above if (path / "pyproject.toml").is_file()), folder)
            yield Home(home, Installed(environment.root), environment.scripts / "python", python[1])


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def find_unmet(home: Home) -> Iterator[str]:
    """What the project asks for and does not have."""
    try:
        document = tomllib.loads((home.folder / "pyproject.toml").read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        document = {}
    project, poetry = _table(document, "project"), _table(document, "tool", "poetry")
    wanted = str(project.get("requires-python") or "")
    constraint = str(_table(poetry, "dependencies").get("python") or "")
    is_fit = _fits(home.python, [wanted] if wanted else _alternatives(constraint))
    if not is_fit:
        yield _(
            "Python is {version} in {environment}, and pyproject.toml asks for {wanted}",
            version=home.python,
            environment=home.root.name,
            wanted=wanted or constraint,
        )
    dependencies = project.get("dependencies")
    for line in dependencies if isinstance(dependencies, list) else []:
        yield from _unmet_package(home, str(line), "pyproject.toml")
    for line in [] if dependencies else _text(home.folder / _LIST).splitlines():
        yield from _unmet_package(home, _COMMENT_OR_OPTION.sub("", line), _LIST)


def _table(document: Mapping[str, Json], *names: str) -> Mapping[str, Json]:
    """A table of a document that may be anything."""
    value: Json = document
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _unmet_package(home: Home, line: str, file: str) -> Iterator[str]:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.specifiers import InvalidSpecifier

    with contextlib.suppress(InvalidRequirement, InvalidSpecifier):
        need = Requirement(line)
        of_home = {"python_version": ".".join(home.python.split(".")[:2]), "python_full_version": home.python}
        if need.marker is not None and not need.marker.evaluate(of_home):
            return
        installed = home.version(need.name)
        if not installed and home.installed.is_closed:
            yield _(
                "the package {package} is not installed in {environment}", package=need.name, environment=home.root.name
            )
        elif installed and not need.specifier.contains(installed, prereleases=True):
            yield _(
                "{package} is {version}, and {file} asks for {wanted}",
                package=need.name,
                version=installed,
                file=file,
                wanted=need.specifier,
            )


def _fits(python: str, alternatives: list[str]) -> bool:
    """Whether a version is in one of the sets; one that is not understood may be anything."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    sets: list[SpecifierSet] = []
    for text in alternatives:
        try:
            sets.append(SpecifierSet(text))
        except InvalidSpecifier:
            return True
    return not sets or any(wanted.contains(python, prereleases=True) for wanted in sets)


def _alternatives(constraint: str) -> list[str]:
    """Poetry's constraint (`^3.9`, `~3.11`, `3.12.*`, `>=3.9 <3.13`, `^3.9 || ^3.12`) as specifiers.

    https://python-poetry.org/docs/dependency-specification/#version-constraints
    """
    parts = [text for text in re.split(r"\|\|?", constraint) if text.strip()]
    return [",".join(filter(None, (_specifier(*match) for match in _PART.findall(part)))) for part in parts]


def _specifier(operator: str, version: str) -> str:
    numbers = [int(number) for number in version.split(".") if number.isdecimal()]
    if version == "*" or not numbers:
        return ""
    if operator == "^":
        return f">={version},<{numbers[0] + 1}"
    if operator == "~":
        upper = numbers[:1] if len(numbers) == 1 else numbers[:2]
        return f">={version},<{'.'.join(map(str, [*upper[:-1], upper[-1] + 1]))}"
    return f"{operator or '=='}{version}"
