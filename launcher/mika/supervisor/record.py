"""The record of a run in `.mika/run/trees.json`: processes that a sweep could not recognize by their mark.

It is made while their guard lives: everything that a service starts is below its guard then (Linux).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Collection, Iterable
from typing import NoReturn

from mika import tasks
from mika.project.folder import ProjectDir
from mika.supervisor.belongings import run_mark
from mika.supervisor.survivors import Survivor, identify, remember_trees

if sys.platform == "win32":
    from mika.supervisor import _windows as _system
else:
    from mika.supervisor import _posix as _system

_INTERVAL = 1.0  # s


class Record:
    """The processes below one guard that may have to be found without it: its leader, and what carries no limit."""

    def __init__(self, run_id: str, guard_pid: int, leader: int) -> None:
        self.guard_pid = guard_pid
        self.is_closed = False
        """Whether the guard has exited. Its pid may belong to another process now."""
        self.processes = identify([leader])
        self._mark = run_mark(run_id) + guard_pid

    def missing(self, pids: Iterable[int]) -> list[int]:
        known = {process.pid for process in self.processes}
        return [pid for pid in pids if pid not in known and _system.mark_of(pid) != self._mark]

    def update(self, below: Collection[int], found: Iterable[Survivor]) -> None:
        """Add what was found `below` the guard, and forget what is gone. Without /proc nothing ever is."""
        kept = [process for process in self.processes if process.pid in below or not below]
        self.processes = (*kept, *(process for process in found if process.pid in below))


class _Look:
    """At what is below some guards, again and again."""

    def __init__(self, records: Collection[Record]) -> None:
        self.records = records
        self._guards = [record.guard_pid for record in records]
        self._trees = _system.Trees(self._guards)

    def refresh(self) -> None:
        below = self._trees.look()
        found = identify(pid for record in self.records for pid in record.missing(below[record.guard_pid]))
        if found:  # only what is still there: a pid may have been reused before its start time was read
            below = _system.Trees(self._guards).look()
        for record in self.records:
            if not record.is_closed:
                record.update(below[record.guard_pid], found)


async def keep(folder: ProjectDir, records: Callable[[], Collection[Record]]) -> NoReturn:
    """Write the record of these trees when it changes.

    As long as no process is started on this machine, there is nothing to look at. One look more follows the last start:
    a process may change its user a moment later.
    """
    written: set[Survivor] = set()
    last_pid, was_changed = b"", True
    look = _Look([])
    while True:
        previous, last_pid = last_pid, _system.last_pid()
        is_changed = last_pid != previous or not last_pid
        if is_changed or was_changed:
            opened = [record for record in records() if not record.is_closed]
            if opened != look.records:
                look = _Look(opened)
            if opened:
                await asyncio.to_thread(look.refresh)
            processes = {process for record in records() for process in record.processes}
            if processes != written:
                remember_trees(folder, processes)
                written = processes
        was_changed = is_changed
        await tasks.sleep_until_tick(_INTERVAL)
