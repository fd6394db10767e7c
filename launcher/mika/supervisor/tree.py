"""The living tree of one process: its pids, which of them is the service itself, and where it listens."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from mika.machine import ports
from mika.machine.family import children_of, family_of

if sys.platform == "win32":
    from mika.supervisor import _windows as _system
else:
    from mika.supervisor import _posix as _system

if TYPE_CHECKING:
    import psutil

_ASK_AGAIN = 0.5  # s; a question about sockets costs milliseconds, and many may want a status at once


class Tree:
    """`leader` is the pid of the process that was started; the service may be a child of it."""

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self._asked_at = float("-inf")
        self._addresses: tuple[str, ...] = ()
        self._own: psutil.Process | None = None  # to make one costs more than what is asked of it
        self._launchers: dict[int, bool] = {}  # on Windows, to ask costs milliseconds

    def pids(self) -> Collection[int]:
        """The pids of the leader and its descendants; now and then one is missing, so look twice before you decide."""
        return family_of(self._leader)

    def own_process(self, *, behind_shell: bool) -> tuple[int, float | None]:
        """Pid and RSS (MB) of the service itself: the only child of its shell, and of what else only starts it."""
        import psutil

        pid = self._leader
        while behind_shell or self._is_launcher(pid):
            children = children_of(pid)
            if len(children) != 1:
                break
            pid, behind_shell = children[0], False
        try:
            if self._own is None or self._own.pid != pid:
                self._own = psutil.Process(pid)
            return pid, round(self._own.memory_info().rss / 1e6, 1)
        except (psutil.Error, OSError):
            return self._leader, None

    def _is_launcher(self, pid: int) -> bool:
        if pid not in self._launchers:
            self._launchers[pid] = _system.is_launcher(pid)
        return self._launchers[pid]

    def addresses(self) -> tuple[str, ...]:
        """Where it listens (`host:port`), as of a moment ago."""
        now = time.monotonic()
        if now - self._asked_at >= _ASK_AGAIN:
            self._asked_at, self._addresses = now, ports.addresses_of(self.pids())
        return self._addresses
