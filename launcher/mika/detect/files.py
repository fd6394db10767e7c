"""The files of a project that say what it is made of. Only names and bytes: nothing is imported or run."""

from __future__ import annotations

import contextlib
import itertools
import os
import posixpath
import re
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from mika.text import decoded

LARGEST = 1_000_000
"""Bytes. Larger files are generated ones, or data."""
SECONDS = 1.3
"""Of the CPU, for finding and reading the files: what is nearest to the top is looked at first."""
_LONGEST = 6
"""Times as long at most, where the disk or a busy machine makes it wait: waiting says nothing of how much there is."""
_FINDING = 0.6
"""The share of it for finding them. Without the rest, nothing that was found could be read."""
_MOST_ENTRIES = 200_000
SOURCES = (".go", ".ts", ".mts", ".cts", ".js", ".mjs", ".cjs", ".cs", ".java", ".kt")
"""The endings of source code in the other languages."""
_SKIPPED = {"node_modules", "__pycache__", "site-packages", "build", "dist", "target", "vendor"}
_WANTED = re.compile(
    r".+\.(py|go|[cm]?[jt]s|cs|java|kt|md|rst|sh|ps1|bat|cmd|[cf]sproj|gradle(\.kts)?)|go\.mod|pom\.xml|mvnw|gradlew"
    r"|((Docker|Container)file|Makefile|justfile|Procfile).*|.+\.dockerfile|requirements[\w.-]*\.txt"
    r"|package\.json|pnpm-lock\.yaml|yarn\.lock|bun\.lockb?|alembic\.ini|pyproject\.toml|(uv|poetry|pdm)\.lock|Pipfile|pixi\.toml|environment\.yml"
    r"|application\.properties|(application|config|conf|settings|app)[\w-]{0,60}\.(ya?ml|toml|ini|cfg)"
    r"|(docker-)?compose[\w.-]*\.ya?ml|\.?env[._-](example|sample|template|dist)",
    re.IGNORECASE,
)
_SETTINGS = re.compile(r"(?:.*/)?(?:conf|configs?|settings)(?:/[\w-]+)?/[\w-]+\.(?:ya?ml|toml|ini|cfg)", re.IGNORECASE)
"""In a folder of settings, a file may have the name of what it is about, or of one of several choices for that."""
_MARKS = {
    *("pyproject.toml", "uv.lock", "poetry.lock", "pdm.lock", "Pipfile", "requirements.txt", "setup.py", "manage.py"),
    *("pixi.toml", "environment.yml"),
}


class Files:
    """The files below `root` by their path (with `/`, relative to it), breadth first. Links are not followed.

    Left out: hidden folders, what a package manager or a build has made, and what there is no time for (`is_cut`).
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._began = time.thread_time(), time.monotonic()
        self._seconds = SECONDS * _FINDING
        self.is_cut = False
        self.python: list[str] = []
        self.sources: list[str] = []
        """Those of other languages."""
        self.others: list[str] = []
        self._parts: set[str] = set()
        self._folders: set[str] = set()  # with Python source
        self._walk()
        self._known = frozenset((*self.python, *self.sources, *self.others))
        self._seconds = SECONDS

    def __contains__(self, path: str) -> bool:
        return path in self._known

    def has_modules(self, folder: str) -> bool:
        """Whether there is Python source in or below `folder`."""
        return folder in self._folders

    def home_of(self, path: str) -> str:
        """The folder of the part of the project that a file belongs to: the nearest one with packages of its own."""
        return next((folder for folder in ancestors(path) if folder in self._parts), "")

    def named(self, pattern: str) -> Iterator[str]:
        """The paths, but for those of source code, whose last part matches a regular expression, ignoring case."""
        name = re.compile(pattern, re.IGNORECASE)
        return (path for path in self.others if name.fullmatch(posixpath.basename(path)))

    def is_late(self) -> bool:
        """Whether there is no time left to look at more."""
        worked, passed = time.thread_time() - self._began[0], time.monotonic() - self._began[1]
        is_late = worked > self._seconds or passed > self._seconds * _LONGEST
        self.is_cut = self.is_cut or is_late
        return is_late

    def read(self, path: str, largest: int = LARGEST) -> bytes:
        """Its content; empty if it is too large, cannot be read, or there is no time left."""
        if self.is_late():
            return b""
        try:
            with (self.root / path).open("rb") as file:
                data = file.read(largest + 1)
        except OSError:
            return b""
        return data if len(data) <= largest else b""

    def text(self, path: str, largest: int = LARGEST) -> str:
        """Its lines end with LF, also where git or an editor of Windows has written CRLF."""
        return decoded(self.read(path, largest)).replace("\r\n", "\n")

    def _walk(self) -> None:
        folders, left = deque([""]), _MOST_ENTRIES
        while folders and not self.is_late():
            folder = folders.popleft()
            try:
                with os.scandir(self.root / folder) as found_there:
                    entries = sorted(itertools.islice(found_there, left), key=lambda entry: entry.name)
            except OSError:
                continue
            left -= len(entries)
            if left <= 0:
                self.is_cut = True
                folders.clear()
            names = {entry.name for entry in entries}
            if folder and "pyvenv.cfg" in names:
                self._parts.add(posixpath.dirname(folder))
                continue  # a virtual environment
            if not names.isdisjoint(_MARKS):
                self._parts.add(folder)
            found = len(self.python)
            for entry in entries:
                if not entry.name.isprintable():
                    continue  # a line break could be neither in a Procfile nor in a message
                with contextlib.suppress(OSError):  # such as a link to itself
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name not in _SKIPPED and (entry.name[0] != "." or entry.name == ".venv"):
                            folders.append(posixpath.join(folder, entry.name))
                    elif _is_wanted(posixpath.join(folder, entry.name)) and entry.is_file():
                        self._add(folder, entry.name)
            if len(self.python) > found:
                self._folders.update(upwards(folder))

    def _add(self, folder: str, name: str) -> None:
        is_other = not name.endswith((".py", *SOURCES))
        paths = self.others if is_other else self.python if name.endswith(".py") else self.sources
        paths.append(posixpath.join(folder, name))


def _is_wanted(path: str) -> bool:
    return bool(_WANTED.fullmatch(posixpath.basename(path)) or _SETTINGS.fullmatch(path))


def upwards(folder: str) -> Iterator[str]:
    """The folder, and all above it, up to the project (an empty text)."""
    while folder:
        yield folder
        folder = posixpath.dirname(folder)
    yield ""


def ancestors(path: str) -> Iterator[str]:
    """The folder of a file, and all above it, up to the project (an empty text)."""
    return upwards(posixpath.dirname(path))
