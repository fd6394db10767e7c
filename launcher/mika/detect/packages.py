"""Is what a program in Python imports installed where it will run? From the files alone, before it is started."""

from __future__ import annotations

import ast
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from mika.detect.modules import LARGEST_SOURCE
from mika.frozen import frozen

_MOST_MODULES = 300
_IMPORT = re.compile(r"^(?:from[ \t]+(\w[\w.]*)|import[ \t]+(\w[^#;\n]*))", re.MULTILINE)
_STANDARD = {*sys.stdlib_module_names, "__main__", "annotationlib", "compression"}  # some are newer than this Python
_SITES = (
    "lib*/python3*/site-packages",
    "lib*/python3*/dist-packages",
    "lib/python3/dist-packages",
    "Lib/site-packages",
)
_LIBRARY = "lib*/python3*"
_SHARED = re.compile(rb"include-system-site-packages *= *true", re.IGNORECASE)
PYTHON = re.compile(r"(pythonw?[\d.]*|pypy[\d.]*|py)(\.exe)?", re.IGNORECASE)
RUNNERS = ("uv", "poetry", "pdm", "hatch", "pipenv", "rye")
"""Tools whose `run` runs a program of the project's environment."""
APP = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(\(\))?")


@frozen
class Installed:
    """Where one Python finds packages; `root` is its environment or its prefix."""

    root: Path

    @cached_property
    def is_closed(self) -> bool:
        """Whether it is an environment that does not see the packages of the Python that it was made with."""
        try:
            return _SHARED.search((self.root / "pyvenv.cfg").read_bytes()) is None
        except OSError:
            return False

    @cached_property
    def folders(self) -> list[Path]:
        """Its own `site-packages`, with what their `.pth` files add."""
        roots = [self.root]
        if not (self.root / "pyvenv.cfg").is_file():
            roots = [self.root, self.root / "local", Path.home() / ".local"] if any(self.root.glob(_LIBRARY)) else []
        sites = [site for root in roots for pattern in _SITES for site in root.glob(pattern)]
        files = [file for site in sites for file in sorted(site.glob("*.pth"))]
        lines = ((file.parent, line.strip()) for file in files for line in _lines(file))
        return [*sites, *(at / line for at, line in lines if line and not line.startswith(("import ", "#")))]

    @cached_property
    def names(self) -> set[str]:
        """The modules and packages there."""
        return {path.name.partition(".")[0] for folder in self.folders if folder.is_dir() for path in folder.iterdir()}

    @cached_property
    def has_finder(self) -> bool:
        """Whether setuptools has installed a project in a way that only running it shows."""
        finders = (file for folder in self.folders for file in folder.glob("__editable__*.pth"))
        return any(line.startswith("import ") for file in finders for line in _lines(file))

    @cached_property
    def is_all(self) -> bool:
        """Whether it finds nothing but what is in `folders`, as far as that can be known without running it."""
        is_environment = (self.root / "pyvenv.cfg").is_file()
        return bool(self.folders) and not self.has_finder and (self.is_closed or not is_environment)

    def lacks(self, module: str) -> bool:
        return self.is_all and module.partition(".")[0] not in self.names


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


@frozen
class Missing:
    """The module that is imported and not there, and the Python that lacks it."""

    module: str
    root: Path

    @property
    def is_environment(self) -> bool:
        """Something can be installed there without harm to others."""
        return (self.root / "pyvenv.cfg").is_file()


def find_missing(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Missing | None:
    """For a program and its arguments; None if nothing is missing, or it cannot be known."""
    program = Path(command[0])
    if not (program.parent.parent / "pyvenv.cfg").is_file():
        program = program.resolve()
    installed = Installed(program.parent.parent)
    if not PYTHON.fullmatch(program.name) and not (installed.root / "pyvenv.cfg").is_file():
        return None
    folders = [cwd / folder for folder in env.get("PYTHONPATH", "").split(os.pathsep) if folder]
    try:
        name = next(_lacking(installed, command, cwd, folders), None)
    except OSError:
        return None
    return Missing(name, installed.root) if name is not None else None


def _lacking(installed: Installed, command: Sequence[str], cwd: Path, folders: list[Path]) -> Iterator[str]:
    """The packages that a command will import and not find: its own, and those of the modules that it starts."""
    words = list(command[1:])
    is_python = PYTHON.fullmatch(Path(command[0]).name) is not None
    while is_python and words and words[0].startswith("-") and words[0] != "-m":
        if words[0] not in ("-u", "-B", "-O", "-E", "-I", "-s"):
            return  # such as -c, or an option with a value
        words.pop(0)
    if is_python and words and words[0] != "-m":
        script = cwd / words[0]
        yield from _lacking_in(installed, [script], [script.parent, *folders])
        return
    folders = [cwd, *folders]
    started = [word.partition(":")[0] for word in words if APP.fullmatch(word)]
    if is_python and len(words) > 1:
        started.insert(0, words[1])
    files: list[Path] = []
    for name in started:
        found = _local(name, folders)
        if found is None and installed.lacks(name):
            yield name.partition(".")[0]
        files += found or []
    yield from _lacking_in(installed, files, folders)


def _lacking_in(installed: Installed, files: Sequence[Path], folders: Sequence[Path]) -> Iterator[str]:
    """What these files import, and all that they import of the project."""
    waiting, seen = list(files), set(files)
    while waiting and len(seen) < _MOST_MODULES:
        file = waiting.pop(0)
        source = file.read_bytes() if file.is_file() and file.stat().st_size <= LARGEST_SOURCE else b""
        suspects: list[str] = []
        for name in _names(source):
            local = _local(name, folders)
            if local is None and installed.lacks(name):
                suspects.append(name.partition(".")[0])
            fresh = [path for path in local or () if path not in seen]
            waiting += fresh
            seen.update(fresh)
        if suspects:
            certain = _certain(source)  # a line of a text may begin with "from", too
            yield from (name for name in suspects if name in certain)


def _names(source: bytes) -> Iterator[str]:
    """What looks like an import at the start of a line."""
    for module, modules in _IMPORT.findall(source.decode("utf-8", "replace")):
        yield from (words[0] for name in (module or modules).split(",") if (words := name.split()))


def _local(name: str, folders: Sequence[Path]) -> list[Path] | None:
    """The files that an import of `name` reads, those of its packages first; None if the project has no such module."""
    first = name.partition(".")[0]
    for folder in folders:
        if (folder / first).is_dir() or (folder / f"{first}.py").is_file():
            path = folder / name.replace(".", "/")
            files = [
                folder / first / "__init__.py",
                path / "__init__.py",
                path / "__main__.py",
                path.with_name(f"{path.name}.py"),
            ]
            return [file for file in files if file.is_file()]
    return [] if first in _STANDARD else None


def _certain(source: bytes) -> set[str]:
    """The packages that a module imports whenever it is imported itself."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    names = {alias.name for statement in body if isinstance(statement, ast.Import) for alias in statement.names}
    names |= {s.module for s in body if isinstance(s, ast.ImportFrom) and not s.level and s.module}
    return {name.partition(".")[0] for name in names}
