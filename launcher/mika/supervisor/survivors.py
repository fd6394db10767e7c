"""Processes that could not be killed: they belong to another user (`sudo`, set-uid), or hang in the kernel."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from mika.frozen import frozen
from mika.project.folder import ProjectDir
from mika.quoting import kill_command
from mika.reason import Reason
from mika.wording import _, listed

if sys.platform == "win32":
    from mika.supervisor import _windows as _system
else:
    from mika.supervisor import _posix as _system


@frozen
class Survivor:
    """`start` distinguishes the process from a later one with the same pid (`start_of` in `_posix.py`)."""

    pid: int
    start: str
    user: str = ""

    def __str__(self) -> str:
        if not self.user:
            return f"pid {self.pid}"
        return _("pid {pid} of user {user}", pid=self.pid, user=self.user)


def identify(pids: Iterable[int]) -> tuple[Survivor, ...]:
    """The processes of `pids` that are alive."""
    if not (pids := tuple(pids)):
        return ()
    import psutil

    survivors = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                survivors.append(Survivor(pid, _system.start_of(pid), process.username()))
        except (psutil.Error, OSError, KeyError):  # it has exited
            continue
    return tuple(survivors)


def still_alive(survivors: Iterable[Survivor]) -> tuple[Survivor, ...]:
    """The survivors that have not exited since."""
    alive = {survivor.pid: survivor for survivor in identify(survivor.pid for survivor in survivors)}
    return tuple(s for s in survivors if s.pid in alive and alive[s.pid].start == s.start)


def is_same(survivor: Survivor) -> bool:
    """Whether the process with its pid is still that one. Also for a zombie."""
    import psutil

    try:
        return _system.start_of(survivor.pid) == survivor.start
    except (psutil.Error, OSError):
        return False


def remember_trees(folder: ProjectDir, processes: Iterable[Survivor]) -> None:
    """Store the record of this run for a sweep. Errors (a full disk) are ignored: the mark finds nearly everything."""
    with contextlib.suppress(OSError):
        folder.write_trees([asdict(process) for process in processes])


def remember(folder: ProjectDir, survivors: Iterable[Survivor]) -> None:
    """Store the survivors for later commands in this folder. Errors (a full disk) are ignored."""
    with contextlib.suppress(OSError):
        folder.write_survivors([asdict(survivor) for survivor in survivors])


def recall(folder: ProjectDir) -> tuple[Survivor, ...]:
    """The survivors of earlier runs in this folder that are still alive."""
    return still_alive(_survivors(folder.read_survivors()))


def recall_trees(folder: ProjectDir) -> tuple[Survivor, ...]:
    """The record of the last run in this folder, and the survivors of earlier ones. They may have exited since."""
    return tuple(_survivors([*folder.read_trees(), *folder.read_survivors()]))


def _survivors(entries: Iterable[dict[str, Any]]) -> list[Survivor]:
    survivors = []
    for entry in entries:
        with contextlib.suppress(TypeError):  # written by another version of mika
            survivors.append(Survivor(**entry))
    return survivors


def describe_survivors(survivors: Iterable[Survivor]) -> Reason:
    survivors = tuple(survivors)
    pids = [survivor.pid for survivor in survivors]
    text = _("could not be killed: {processes}", processes=listed(map(str, survivors)))
    if sys.platform == "win32":
        kill = _("`{command}` as administrator", command=kill_command(*pids))
    else:
        kill = f"`sudo kill -9 {' '.join(map(str, pids))}`"
    fix = (
        _("kill them with {command}", command=kill) if len(survivors) > 1 else _("kill it with {command}", command=kill)
    )
    return Reason(text, fix)
