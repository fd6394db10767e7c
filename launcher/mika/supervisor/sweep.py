"""Find and stop processes that an earlier run left behind.

Every process of a run has the id of the run in its environment. A guard leaves nothing behind unless it is killed
together with the supervisor; this is the safety net for that case.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mika.project.folder import ProjectDir

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    import psutil

_TERM_SECONDS = 2.0  # between SIGTERM and SIGKILL
_KILL_SECONDS = 2.0  # how long to keep killing processes that still appear
_POLL = 0.05  # s


@dataclass(frozen=True, slots=True)
class Killed:
    pid: int
    name: str  # MIKA_PROCESS, or else the name of the program

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"


def sweep(run_ids: Collection[str], *, patience: float = 12.0) -> list[Killed]:
    """Stop every process of these runs, except this process and its ancestors. Blocks.

    If guards are still stopping their services, wait for them first, for at most `patience` seconds.
    """

    def belongs(environ: dict[str, str]) -> bool:
        return environ.get("MIKA_RUN_ID") in run_ids

    import psutil

    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and any("MIKA_GUARD" in environ for _, environ in _marked(belongs)):
        time.sleep(_POLL)
    killed: dict[int, Killed] = {}
    leftovers = list(_marked(belongs))
    for process, environ in leftovers:
        if _signal(process.terminate):
            killed[process.pid] = Killed(process.pid, _name(process, environ))
    psutil.wait_procs([process for process, _ in leftovers], timeout=_TERM_SECONDS)
    for process, environ in _kill_all(belongs):
        killed.setdefault(process.pid, Killed(process.pid, _name(process, environ)))
    return list(killed.values())


def sweep_folder(folder: ProjectDir) -> list[Killed]:
    """Stop what earlier runs in this folder left behind. The caller must hold the folder's lock: nothing runs then."""
    marks = folder.marks()
    if not marks:
        return []
    killed = sweep(marks)
    folder.clear_marks()
    return killed


def sweep_if_idle(folder: ProjectDir) -> list[Killed]:
    """Like `sweep_folder`, but takes the lock itself, and does nothing while a stack runs or starts in the folder."""
    if not folder.marks():
        return []
    with folder.try_lock() as is_free:
        return sweep_folder(folder) if is_free else []


def kill_marked(run_id: str, process_name: str) -> tuple[int, ...]:
    """Kill the whole tree of one process of a run. Returns the pids that could not be killed. Blocks."""

    def belongs(environ: dict[str, str]) -> bool:
        return environ.get("MIKA_RUN_ID") == run_id and environ.get("MIKA_PROCESS") == process_name

    for _ in _kill_all(belongs):
        pass
    return tuple(process.pid for process, _ in _marked(belongs))


def _kill_all(belongs: Callable[[dict[str, str]], bool]) -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    """Repeat until no process appears any more: a process may start another one before it is killed."""
    import psutil

    deadline = time.monotonic() + _KILL_SECONDS
    while (leftovers := list(_marked(belongs))) and time.monotonic() < deadline:
        for process, environ in leftovers:
            if _signal(process.kill):
                yield process, environ
        psutil.wait_procs([process for process, _ in leftovers], timeout=0.2)


def _marked(belongs: Callable[[dict[str, str]], bool]) -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    import psutil

    own_pids = {os.getpid()} | {parent.pid for parent in psutil.Process().parents()}
    for process in psutil.process_iter():
        if process.pid in own_pids:
            continue
        try:
            environ = process.environ()
            if belongs(environ) and process.status() != psutil.STATUS_ZOMBIE:
                yield process, environ
        except (psutil.Error, OSError):
            continue  # it has exited, or belongs to another user and so not to the run


def _signal(send: Callable[[], None]) -> bool:
    """Whether the signal was sent. Safe for reused pids: psutil compares the creation time before it signals."""
    import psutil

    try:
        send()
    except (psutil.Error, OSError):
        return False
    return True


def _name(process: psutil.Process, environ: dict[str, str]) -> str:
    import psutil

    try:
        return environ.get("MIKA_PROCESS") or process.name()
    except psutil.Error:
        return "?"
