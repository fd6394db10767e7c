"""What the processes are called that are found."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Sequence

from mika.project.logs import EVENT_LOG

RESERVED = {"temporal", "temporal-ui", EVENT_LOG}
"""The names of mika's own services and log."""
_COMMON = {
    "main",
    "index",
    "app",
    "run",
    "worker",
    "workers",
    "server",
    "api",
    "asgi",
    "wsgi",
    "__main__",
    "manage",
    "src",
    "",
}
_LAYERS = {"cmd", "internal", "pkg"}
"""Folders of a usual layout in Go: they say nothing of what is in them."""


def of(paths: Sequence[str], kind: str, taken: set[str]) -> dict[str, str]:
    """A name for each: `web` or `worker` for the only one, else by its file or folder."""
    names: dict[str, str] = {}
    specials = {path: _specials(path) for path in paths}
    firsts = Counter(found[0] for found in specials.values() if found)
    for path, found in specials.items():
        others = found[1:] if found and firsts[found[0]] > 1 else []
        special = next(iter([*others, *found]), kind)
        names[path] = unique(kind if len(paths) == 1 else special, taken)
    return names


def _specials(path: str) -> list[str]:
    stem = posixpath.basename(path).partition(".")[0]
    folders = [name for name in posixpath.dirname(path).split("/")[::-1] if name not in _LAYERS]
    return [name for name in (stem, *folders[:2]) if name.lower() not in _COMMON | RESERVED]


def of_folders(folders: Sequence[str]) -> dict[str, str]:
    """The last part of each; if others end with the same one, the name of what it is in, such as a service."""
    names: dict[str, str] = {}
    lasts = Counter(map(posixpath.basename, folders))
    for folder in folders:
        *above, last = folder.split("/")
        is_alone = lasts[last] == 1 and last not in _LAYERS
        outer = [name for name in reversed(above) if name not in _LAYERS | _COMMON]
        names[folder] = next(iter([*outer[: not is_alone], last]))
    return names


def unique(name: str, taken: set[str]) -> str:
    """The name as a process may have it, with a number if it is taken; it is taken then."""
    name = re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-").lower() or "process"
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name}-{number}"
    taken.add(unique)
    return unique
