"""Which files of the project a program in Python imports, from its sources alone: what a changed file concerns.

An import counts wherever it is, also in a function or below `if TYPE_CHECKING`, and also if its file does not exist
(yet): that may be why the program does not start. Where the sources do not tell, the answer is None, never a guess.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import sys
import warnings
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mika.detect.fields import dotted, literal
from mika.detect.modules import LARGEST_SOURCE
from mika.detect.packages import APP, PYTHON, RUNNERS, Installed
from mika.frozen import frozen

_MOST_FILES = 3000
_SERVERS = ("uvicorn", "gunicorn", "hypercorn", "granian", "daphne")
"""Programs that import the `module:app` among their arguments."""
_MOVES = ("--app-dir", "--chdir", "--pythonpath")
_PLAIN_OPTIONS = ("-u", "-B", "-O", "-OO", "-s", "-P", "-d", "-v")
_DISCOVERERS = frozenset({"celery", "django", "pluggy", "scrapy", "stevedore"})
"""Packages that import modules of the project which no source names."""
_DYNAMIC = frozenset(
    {"__import__", "exec", "eval", "run_module", "run_path", "iter_modules", "walk_packages", "addsitedir"}
    | {"import_module", "spec_from_file_location", "exec_module", "load_module", "load_source"}
)
_NAMED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_][\w.]*|[\w./\\-]+\.py")
"""A text that names a script or a module: `pkg.module`, `pkg.module.Class`, `module:app`. One word may be a queue."""


@frozen
class _Source:
    """What one file imports. `stamp` is its time and size."""

    stamp: tuple[int, int]
    imports: tuple[tuple[str, bool], ...] = ()
    """(name, whether its last part may be no module). The name begins with a dot for each level if it is relative."""
    texts: tuple[str, ...] = ()
    is_dynamic: bool = False
    """It imports what cannot be known from its syntax, or it could not be read."""
    is_discovered: bool = False
    """It imports a package that finds modules by itself."""


@dataclass(slots=True)
class _Entry:
    """The first files of a program, and the folders in which it finds modules."""

    files: list[Path]
    roots: list[Path]


class ImportGraph:
    """The imports of a project. A file is parsed once, and again when it has changed. For one thread at a time."""

    def __init__(self, project: Path) -> None:
        self._project = project
        self._sources: dict[Path, _Source] = {}

    def reach(
        self, command: Sequence[str] | str, cwd: Path, env: Mapping[str, str], reported: Collection[Path] = ()
    ) -> frozenset[Path] | None:
        """The files that the program imports, or would if they existed; None if that cannot be known.

        `reported` are files that it is known to have imported.
        """
        entry = _Finder(self._project, cwd, env).entry(command) if not isinstance(command, str) else None
        if entry is None:
            if not reported:
                return None
            entry = _Entry([], [cwd, *_python_path(cwd, env)])
        walk = _Walk(self._project, cwd, entry.roots)
        walk.add([*entry.files, *reported])
        while walk.waiting:
            file = walk.waiting.popleft()
            source = self._source(file)
            is_hidden = source.is_dynamic or (source.is_discovered and not reported)
            if is_hidden or len(walk.wanted) > 10 * _MOST_FILES:
                return None
            walk.follow(file, source)
        return frozenset(walk.wanted)

    def _source(self, file: Path) -> _Source:
        try:
            found = file.stat()
            stamp = (found.st_mtime_ns, found.st_size)
            known = self._sources.get(file)
            if known is None or known.stamp != stamp:
                small = found.st_size <= LARGEST_SOURCE
                known = _parse(stamp, file.read_bytes()) if small else _Source(stamp, is_dynamic=True)
                self._sources[file] = known
        except OSError:
            return _Source((0, 0), is_dynamic=True)
        return known


class _Finder:
    """Finds the first files of a command."""

    def __init__(self, project: Path, cwd: Path, env: Mapping[str, str]) -> None:
        self._project, self._cwd, self._env = project, cwd, env
        self._path = _python_path(cwd, env)

    def entry(self, command: Sequence[str]) -> _Entry | None:
        words = list(command)
        if Path(words[0]).stem in RUNNERS:
            if words[1:2] != ["run"] or len(words) < 3:
                return None
            words = words[2:]
            if words[0] == "-m" or words[0].endswith(".py"):
                words.insert(0, "python")
        program, arguments = Path(words[0]), words[1:]
        environment = Path(self._env["VIRTUAL_ENV"]) if "VIRTUAL_ENV" in self._env else program.parent.parent
        installed = Installed(environment)
        if installed.has_finder:
            return None
        own = [folder for folder in installed.folders if folder.is_relative_to(self._project)]
        roots = [*self._path, *(folder for folder in own if folder.name not in ("site-packages", "dist-packages"))]
        if PYTHON.fullmatch(program.name):
            return self._of_python(arguments, roots)
        if program.stem in _SERVERS:
            return self._of_server(arguments, [self._cwd, *roots])
        return self._of_script(program, roots)

    def _of_python(self, arguments: list[str], roots: list[Path]) -> _Entry | None:
        while arguments and arguments[0].startswith("-") and arguments[0] != "-m":
            option = arguments.pop(0)
            if option in ("-X", "-W") and arguments:
                arguments.pop(0)
            elif option not in _PLAIN_OPTIONS and not option.startswith(("-X", "-W")):
                return None  # such as -c, or -I, which changes where modules are found
        if not arguments:
            return None
        if arguments[0] != "-m":
            script = self._cwd / arguments[0]
            return _Entry([script], [script.parent, *roots]) if script.is_file() else None
        if len(arguments) == 1:
            return None
        roots = [self._cwd, *roots]
        files = _files_of(arguments[1], roots, is_run=True)
        if not files and arguments[1] in _SERVERS:
            return self._of_server(arguments[2:], roots)
        return _Entry(files, roots) if files else None

    def _of_server(self, arguments: list[str], roots: list[Path]) -> _Entry | None:
        if any(word.startswith(_MOVES) for word in arguments):
            return None
        files = [file for word in arguments if APP.fullmatch(word) for file in _files_of(word.partition(":")[0], roots)]
        return _Entry(files, roots) if files else None

    def _of_script(self, program: Path, roots: list[Path]) -> _Entry | None:
        """A program that was installed for a function of the project."""
        found = shutil.which(str(program), path=self._env.get("PATH"))
        if found is None:
            return None
        try:
            text = Path(found).read_bytes() if Path(found).stat().st_size <= LARGEST_SOURCE else b""
        except OSError:
            return None
        if not re.match(rb"#!.*(python|pypy)|#!/bin/sh\n'''exec'", text):
            return None
        names = [(root, *one) for root in roots for one in _parse((0, 0), text).imports]
        named = (file for root, name, is_open in names for file in _candidates(root, name, is_open=is_open))
        files = [file for file in named if file.is_file()]
        return _Entry(files, roots) if files else None


class _Walk:
    """`wanted` grows to all files that are imported. Those of them that exist are to be looked into."""

    def __init__(self, project: Path, cwd: Path, roots: Sequence[Path]) -> None:
        self._project, self._cwd, self._roots = project, cwd, roots
        self.wanted: set[Path] = set()
        self.waiting: deque[Path] = deque()
        self._here: dict[tuple[Path, str], bool] = {}

    def add(self, files: Collection[Path]) -> None:
        for file in files:
            path = Path(os.path.normpath(file))
            if path not in self.wanted:
                self.wanted.add(path)
                if path.is_relative_to(self._project) and path.is_file():
                    self.waiting.append(path)

    def follow(self, file: Path, source: _Source) -> None:
        for name, is_open in source.imports:
            relative = name.lstrip(".")
            level = len(name) - len(relative)
            if level:
                folder = file.parent
                for _ in range(level - 1):
                    folder = folder.parent
                self.add(list(_candidates(folder, relative, is_open=is_open)))
                continue
            for root in self._roots:
                first = relative.partition(".")[0]
                if self._is_here(root, first):
                    self.add(list(_candidates(root, relative, is_open=is_open)))
                elif first not in sys.stdlib_module_names:
                    self.add([root / f"{first}.py", root / first / "__init__.py"])
        for text in source.texts:
            self.add(list(self._named(text, file)))

    def _is_here(self, root: Path, first: str) -> bool:
        key = (root, first)
        if key not in self._here:
            self._here[key] = (root / first).is_dir() or (root / f"{first}.py").is_file()
        return self._here[key]

    def _named(self, text: str, file: Path) -> Iterator[Path]:
        """What a text names: a script, or a module. Only what exists: most texts that look like it are something else.

        A package that is named may be searched for modules, so all of it counts.
        """
        if text.endswith(".py"):
            places = (file.parent, self._cwd, *self._roots)
            yield from (place / text for place in places if (place / text).is_file())
            return
        names = text.partition(":")[0].split(".")
        for root in self._roots:
            if not self._is_here(root, names[0]):
                continue
            for length in range(len(names), 0, -1):
                path = root.joinpath(*names[:length])
                if path.with_suffix(".py").is_file():
                    yield from _candidates(root, ".".join(names[:length]), is_open=False)
                    break
                if path.is_dir():
                    yield from path.rglob("*.py") if length == len(names) else [path / "__init__.py"]
                    break


def _python_path(cwd: Path, env: Mapping[str, str]) -> list[Path]:
    return [cwd / folder for folder in env.get("PYTHONPATH", "").split(os.pathsep) if folder]


def _candidates(folder: Path, name: str, *, is_open: bool) -> Iterator[Path]:
    """The files that an import of `name` reads, or would read. With `is_open`, its last part may be no module."""
    parts = name.split(".") if name else []
    if parts and parts[-1] == "*":
        yield from folder.joinpath(*parts[:-1]).glob("*.py")  # which of them, `__all__` says
        parts.pop()
        is_open = False
    if is_open or not parts:
        yield folder / "__init__.py"
    for length in range(1, len(parts) + 1):
        path = folder.joinpath(*parts[:length])
        yield path / "__init__.py"
        if length >= len(parts) - is_open:
            yield path.with_name(f"{path.name}.py")


def _files_of(name: str, roots: Sequence[Path], *, is_run: bool = False) -> list[Path]:
    """The files of the module `name` in the first folder that has it; `is_run`: with `python -m`."""
    for root in roots:
        path = root.joinpath(*name.split("."))
        files = [path.with_name(f"{path.name}.py"), path / "__init__.py", *([path / "__main__.py"] if is_run else [])]
        if any(file.is_file() for file in files):
            return [file for file in (*_candidates(root, name, is_open=False), *files) if file.is_file()]
    return []


def _parse(stamp: tuple[int, int], source: bytes) -> _Source:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as "invalid escape sequence"
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _Source(stamp, is_dynamic=True)
    imports: dict[tuple[str, bool], None] = {}
    texts: dict[str, None] = {}
    is_dynamic = False
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                imports |= {(alias.name, False): None for alias in node.names}
            case ast.ImportFrom():
                base = "." * node.level + (node.module or "")
                separator = "" if base.endswith(".") else "."
                imports |= {(f"{base}{separator}{alias.name}", True): None for alias in node.names}
                is_dynamic = is_dynamic or any(a.name in _DYNAMIC and a.asname for a in node.names)
            case ast.Call():
                is_dynamic = is_dynamic or _is_dynamic(node)
                if dotted(node.func).rpartition(".")[2] == "import_module" and (name := literal(node.args[0])):
                    imports[name, False] = None
            case ast.Constant(value=str(named)) if len(named) < 200 and (
                _NAMED.fullmatch(named) or named.endswith(".py")
            ):
                texts[named] = None
            case ast.Assign(targets=[target]) if dotted(target) == "sys.path":
                is_dynamic = True
            case _:
                pass
    packages = {name.partition(".")[0] for name, _ in imports}
    return _Source(stamp, tuple(imports), tuple(texts), is_dynamic, not packages.isdisjoint(_DISCOVERERS))


def _is_dynamic(call: ast.Call) -> bool:
    """Whether a call imports, or lets others import, what its syntax does not tell."""
    function = dotted(call.func)
    if function.startswith("sys.path."):
        return True
    owner, _, name = function.rpartition(".")
    if name not in _DYNAMIC or (owner and name in ("exec", "eval")):  # a method of something else
        return False
    named = literal(call.args[0]) if name == "import_module" and len(call.args) == 1 else None
    return named is None
