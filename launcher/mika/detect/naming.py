"""What the processes are called that are found."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from mika.project.logs import EVENT_LOG

RESERVED = {"temporal", "temporal-ui", EVENT_LOG}
"""The names of mika's own services and log."""
_COMMON = {"main", "app", "run", "worker", "workers", "server", "api", "asgi", "wsgi", "__main__", "manage", "src", ""}


def of(paths: Sequence[str], kind: str, taken: set[str]) -> dict[str, str]:
    """A name for each: `web` or `worker` for the only one, else by its file or folder."""
    names: dict[str, str] = {}
    for path in paths:
        stem = posixpath.basename(path).partition(".")[0]
        folders = posixpath.dirname(path).split("/")[:-3:-1]
        special = next((name for name in (stem, *folders) if name.lower() not in _COMMON | RESERVED), kind)
        names[path] = unique(kind if len(paths) == 1 else special, taken)
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
