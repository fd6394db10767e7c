"""Which processes belong to a run, or to one tree of it. A pid alone never says that: pids are reused.

- By the environment: each process of a run has its id there. It may clear it, and another user's cannot be read.
- By a resource limit that all descendants inherit (Linux, see `_posix.py`). Only `su` and the like reset it.
- By the record (`record.py`): pid and start time of each leader, and of each descendant that was seen without that
  limit. What is below a recorded process, or in its session or group, belongs to it as long as it is alive.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from mika.frozen import frozen
from mika.supervisor.survivors import Survivor, is_same, still_alive
from mika.wording import _

if sys.platform == "win32":
    from mika.supervisor import _windows as _system
else:
    from mika.supervisor import _posix as _system

if TYPE_CHECKING:
    import psutil

_PID_BITS = 22  # PID_MAX_LIMIT of Linux is 1 << 22


def run_mark(run_id: str) -> int:
    """The upper bits of the limit by which the processes of a run are recognized. The guard adds its own pid."""
    return int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:5], "big") << _PID_BITS if run_id else 0


@frozen
class Found:
    process: psutil.Process
    name: str  # MIKA_PROCESS, or else the name of the program
    is_guard: bool

    def __str__(self) -> str:
        return _("{name} (pid {pid})", name=self.name, pid=self.process.pid)


class Belongings:
    """The processes of some runs; with `name` and `guard_pid` those of one tree. `recorded` may have exited since."""

    def __init__(
        self, run_ids: Collection[str], recorded: Iterable[Survivor] = (), *, name: str = "", guard_pid: int = 0
    ) -> None:
        self._run_ids, self._name, self._guard_pid = run_ids, name, guard_pid
        self._marks = {run_mark(run_id) for run_id in run_ids}
        self._recorded = {survivor.pid: survivor for survivor in recorded}
        self._seen: dict[psutil.Process, Found] = {}

    def alive(self) -> list[Found]:
        """Those that are alive, also if what they were recognized by has gone since an earlier call. Reaps zombies.

        This process and its ancestors are not part of it.
        """
        import psutil

        leaders = [survivor.pid for survivor in still_alive(self._recorded.values())]
        below = {pid for tree in _system.Trees(leaders).look().values() for pid in tree}
        own_pids = {os.getpid()} | {parent.pid for parent in psutil.Process().parents()}
        for process in psutil.process_iter():
            if process.pid in own_pids or process in self._seen:
                continue
            environ = _environ(process)
            is_ours = process.pid in below or _system.is_in_session(process.pid, leaders)
            if is_ours or self._is_recorded(process) or self._is_marked(process.pid, environ):
                with contextlib.suppress(psutil.Error):
                    name = environ.get("MIKA_PROCESS") or _name(process)
                    self._seen[process] = Found(process, name, "MIKA_GUARD" in environ)
        return [found for found in self._seen.values() if _is_alive(found.process)]

    def _is_recorded(self, process: psutil.Process) -> bool:
        recorded = self._recorded.get(process.pid)
        return recorded is not None and is_same(recorded)

    def _is_marked(self, pid: int, environ: dict[str, str]) -> bool:
        if environ.get("MIKA_RUN_ID") in self._run_ids:
            if not self._name:
                return True
            if environ.get("MIKA_PROCESS") == self._name and "MIKA_GUARD" not in environ:
                return True
        mark = _system.mark_of(pid)
        guard_pid = mark % (1 << _PID_BITS)
        return mark - guard_pid in self._marks and self._guard_pid in (0, guard_pid)


def _name(process: psutil.Process) -> str:
    """Raises psutil.Error if it is gone."""
    try:
        return process.name()
    except OSError:  # Windows does not always tell
        return _("a process")


def _environ(process: psutil.Process) -> dict[str, str]:
    """Empty for a zombie, and for a process of another user."""
    import psutil

    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def _is_alive(process: psutil.Process) -> bool:
    """The zombie of a killed guard's child may be ours: PID 1 of a container adopts it, and has to reap it."""
    import psutil

    try:
        if not process.is_running():
            return False
        if process.status() != psutil.STATUS_ZOMBIE:
            return True
    except psutil.Error:
        return False
    _system.reap(process.pid)
    return False
