"""What the processes of some trees use: CPU and memory."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mika.frozen import frozen
from mika.machine.family import family_of

if TYPE_CHECKING:
    import psutil

_SHARE = 0.01
"""At most this share of one core is spent on finding the children: on a machine with many processes, less often."""


@frozen
class Use:
    """Of a process and its descendants. `cpu`: percent of one core since the look before; None at the first one."""

    cpu: float | None
    memory_mb: float

    def as_json(self) -> dict[str, object]:
        return {"cpu_percent": None if self.cpu is None else round(self.cpu, 1), "memory_mb": round(self.memory_mb, 1)}


@dataclass(slots=True)
class _Tree:
    root: int
    members: dict[int, psutil.Process] = field(default_factory=dict)
    was_searched: bool = False
    """At the last look: a member that is new since then has begun since then."""
    seconds: float | None = None
    """CPU time of all members until now, with that of their children that have ended."""
    at: float = 0.0
    looked_at: float = 0.0
    """The same moment in seconds since the epoch, as a process has its beginning."""


class Usage:
    """Looks again and again; not for several threads at once."""

    def __init__(self) -> None:
        self._trees: dict[str, _Tree] = {}
        self._find_at = float("-inf")

    def look(self, roots: Mapping[str, int]) -> dict[str, Use]:
        """By name, for the process of each and its descendants; without those that are gone."""
        trees = {
            name: tree if (tree := self._trees.get(name)) is not None and tree.root == pid else _Tree(pid)
            for name, pid in roots.items()
        }
        self._trees = trees
        is_due, began = time.monotonic() >= self._find_at, time.thread_time()
        for tree in trees.values():
            is_searched = is_due or not tree.members
            if is_searched:
                _find_members(tree)
            tree.was_searched = is_searched
        if is_due:
            self._find_at = time.monotonic() + (time.thread_time() - began) / _SHARE
        return {name: use for name, tree in trees.items() if (use := _use(tree)) is not None}


def _find_members(tree: _Tree) -> None:
    """What a new member had used before the last look is not of this interval."""
    import psutil

    found: dict[int, psutil.Process] = {}
    for pid in family_of(tree.root):
        with contextlib.suppress(psutil.Error):
            found[pid] = psutil.Process(pid)
    for pid, process in found.items():
        if pid in tree.members or tree.was_searched or tree.seconds is None:
            continue
        if process.create_time() < tree.looked_at:
            tree.seconds += _measure(process)[0]
    tree.members = found


def _use(tree: _Tree) -> Use | None:
    measured = [_measure(process) for process in tree.members.values()]
    memory = sum(rss for _, rss in measured)
    if not memory:
        return None
    seconds, now = sum(seconds for seconds, _ in measured), time.monotonic()
    before, elapsed = tree.seconds, now - tree.at
    tree.seconds, tree.at, tree.looked_at = seconds, now, time.time()
    return Use(None if before is None or not elapsed else 100 * max(0.0, seconds - before) / elapsed, memory / 1e6)


def _measure(process: psutil.Process) -> tuple[float, int]:
    """CPU seconds with those of its ended children, and bytes; nothing if it is gone."""
    import psutil

    try:
        with process.oneshot():
            return sum(process.cpu_times()[:4]), process.memory_info().rss
    except (psutil.Error, OSError):
        return 0.0, 0
