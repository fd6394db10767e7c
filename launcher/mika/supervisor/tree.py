"""The living tree of one process: its pids, which of them is the service itself, and where it listens."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from mika.machine import ports
from mika.machine.family import children_of, family_of

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

    def pids(self) -> Collection[int]:
        """The pids of the leader and its descendants; now and then one is missing, so look twice before you decide."""
        return family_of(self._leader)

    def own_process(self, *, behind_shell: bool) -> tuple[int, float | None]:
        """Pid and RSS (MB) of the service itself. If its command needed a shell, it is the only child of that."""
        import psutil

        children = children_of(self._leader) if behind_shell else []
        pid = children[0] if len(children) == 1 else self._leader
        try:
            if self._own is None or self._own.pid != pid:
                self._own = psutil.Process(pid)
            return pid, round(self._own.memory_info().rss / 1e6, 1)
        except (psutil.Error, OSError):
            return self._leader, None

    def addresses(self) -> tuple[str, ...]:
        """Where it listens (`host:port`), as of a moment ago."""
        now = time.monotonic()
        if now - self._asked_at >= _ASK_AGAIN:
            self._asked_at, self._addresses = now, ports.addresses_of(self.pids())
        return self._addresses
