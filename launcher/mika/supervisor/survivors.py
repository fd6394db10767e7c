"""Processes that could not be killed: they belong to another user (`sudo`, set-uid), or hang in the kernel."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from mika.project.folder import ProjectDir
from mika.reason import Reason


@dataclass(frozen=True, slots=True)
class Survivor:
    """`started` is in seconds since the epoch. It distinguishes the process from a later one with the same pid."""

    pid: int
    started: float
    user: str = ""

    def __str__(self) -> str:
        return f"pid {self.pid}" + (f" of user {self.user}" if self.user else "")


def identify(pids: Iterable[int]) -> tuple[Survivor, ...]:
    """The processes of `pids` that are alive."""
    import psutil

    survivors = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            if process.status() != psutil.STATUS_ZOMBIE:
                survivors.append(Survivor(pid, process.create_time(), process.username()))
        except (psutil.Error, OSError, KeyError):  # it has exited
            continue
    return tuple(survivors)


def session_members(leader: int) -> set[int]:
    """The pids in the session of a service that has exited. This also finds processes whose environment, and so the run
    id, cannot be read because they belong to another user.
    """
    if sys.platform == "win32" or not leader:
        return set()
    import psutil

    members = set()
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            if os.getsid(pid) == leader:
                members.add(pid)
    return members


def still_alive(survivors: Iterable[Survivor]) -> tuple[Survivor, ...]:
    """The survivors that have not exited since."""
    alive = {survivor.pid: survivor for survivor in identify(survivor.pid for survivor in survivors)}
    return tuple(s for s in survivors if s.pid in alive and abs(alive[s.pid].started - s.started) < 1.0)


def remember(folder: ProjectDir, survivors: Iterable[Survivor]) -> None:
    """Store the survivors for later commands in this folder. Errors (a full disk) are ignored."""
    with contextlib.suppress(OSError):
        folder.write_survivors([asdict(survivor) for survivor in survivors])


def recall(folder: ProjectDir) -> tuple[Survivor, ...]:
    """The survivors of earlier runs in this folder that are still alive."""
    survivors = []
    for entry in folder.read_survivors():
        with contextlib.suppress(TypeError):  # written by another version of mika
            survivors.append(Survivor(**entry))
    return still_alive(survivors)


def describe_survivors(survivors: Iterable[Survivor]) -> Reason:
    survivors = tuple(survivors)
    pids = " ".join(str(survivor.pid) for survivor in survivors)
    kill = f"`taskkill /F /PID {pids}` as administrator" if sys.platform == "win32" else f"`sudo kill -9 {pids}`"
    return Reason(
        f"could not be killed: {', '.join(map(str, survivors))}",
        f"kill them with {kill}" if len(survivors) > 1 else f"kill it with {kill}",
    )
