"""What has a process loaded, and is it a fork of its parent? On Linux."""

from __future__ import annotations

import sys
from pathlib import Path

from mika.guard._posix import all_pids, children_of_all

if sys.platform == "win32":
    raise ImportError("mika.replay._posix does not work on Windows")


class Tree:
    """A process and its descendants. A later look reads only these again and what is new on this machine."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._others: set[int] = set()

    def look(self) -> list[tuple[int, int]]:
        """Each process with its parent, parents first. The parent of `root` counts as 0."""
        pids = set(all_pids())
        children = children_of_all(pids - self._others)
        found = [(self._root, 0)]
        for pid, _ in found:
            found += [(child, pid) for child in children.get(pid, ())]
        self._others = pids.difference(pid for pid, _parent in found)
        return found


def has_core(pid: int) -> bool:
    """Whether the core of Temporal's Python SDK is loaded in the process."""
    return b"temporal_sdk_bridge" in _read(pid, "maps")


def is_fork(pid: int, parent: int) -> bool:
    """Whether the process runs the program of its parent, in the state in which that was."""
    return _read(pid, "cmdline") == _read(parent, "cmdline")


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
