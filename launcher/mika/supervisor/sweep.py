"""Find what an earlier run left behind, by the mark that every process of a run carries in its environment.

Guards leave nothing behind unless guard and supervisor are killed at once; this is the net below that.
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
_KILL_SECONDS = 2.0  # how long processes that still appear are killed
_POLL = 0.05  # s


@dataclass(frozen=True, slots=True)
class Killed:
    pid: int
    name: str  # MIKA_PROCESS, else the name of the program

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"


def sweep(run_ids: Collection[str], *, patience: float = 12.0) -> list[Killed]:
    """Stop every process that belongs to one of these runs; never this process or its ancestors. Blocks.

    Guards that are still stopping their service get `patience` seconds first.
    """
    wanted = frozenset(run_ids)

    def belongs(environ: dict[str, str]) -> bool:
        return environ.get("MIKA_RUN_ID") in wanted

    import psutil

    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and any("MIKA_GUARD" in environ for _, environ in _marked(belongs)):
        time.sleep(_POLL)
    killed: dict[int, Killed] = {}
    found = list(_marked(belongs))
    for process, environ in found:
        if _signal(process.terminate):
            killed[process.pid] = Killed(process.pid, _name(process, environ))
    psutil.wait_procs([process for process, _ in found], timeout=_TERM_SECONDS)
    for process, environ in _kill_all(belongs):
        killed.setdefault(process.pid, Killed(process.pid, _name(process, environ)))
    return list(killed.values())


def sweep_folder(folder: ProjectDir) -> list[Killed]:
    """Sweep what earlier runs in this folder left. Only for who holds the folder's lock: then no run is there now."""
    marks = folder.marks()
    if not marks:
        return []
    killed = sweep(marks)
    folder.clear_marks()
    return killed


def sweep_if_idle(folder: ProjectDir) -> list[Killed]:
    """The same from a command: nothing where a stack runs (or starts) in the folder."""
    if not folder.marks():
        return []
    with folder.try_lock() as is_free:
        return sweep_folder(folder) if is_free else []


def kill_marked(run_id: str, process_name: str) -> tuple[int, ...]:
    """Kill what belongs to one process of one run; returns the pids that could not be killed. Blocks."""

    def belongs(environ: dict[str, str]) -> bool:
        return environ.get("MIKA_RUN_ID") == run_id and environ.get("MIKA_PROCESS") == process_name

    for _ in _kill_all(belongs):
        pass
    return tuple(process.pid for process, _ in _marked(belongs))


def _kill_all(belongs: Callable[[dict[str, str]], bool]) -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    """Until none appears any more: one that is being killed may have started another one."""
    import psutil

    deadline = time.monotonic() + _KILL_SECONDS
    while (found := list(_marked(belongs))) and time.monotonic() < deadline:
        for process, environ in found:
            if _signal(process.kill):
                yield process, environ
        psutil.wait_procs([process for process, _ in found], timeout=0.2)


def _marked(belongs: Callable[[dict[str, str]], bool]) -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    import psutil

    never = {os.getpid()} | {parent.pid for parent in psutil.Process().parents()}
    for process in psutil.process_iter():
        if process.pid in never:
            continue
        try:
            environ = process.environ()
            if belongs(environ) and process.status() != psutil.STATUS_ZOMBIE:
                yield process, environ
        except (psutil.Error, OSError):
            continue  # it ended, or it is another user's: not ours then


def _signal(send: Callable[[], None]) -> bool:
    """Safe for a reused pid: psutil compares the creation time right before it signals."""
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
