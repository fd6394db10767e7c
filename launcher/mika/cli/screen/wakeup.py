"""Wake a thread that waits, also from a signal handler."""

from __future__ import annotations

import queue


class Wakeup:
    """As a `threading.Event` that is cleared by whoever has waited for it.

    An Event takes a lock, for which a signal handler would wait for ever if it interrupts the thread that has it.
    https://docs.python.org/3/library/queue.html#queue.SimpleQueue.put
    """

    def __init__(self) -> None:
        self._sets: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self) -> None:
        self._sets.put(None)

    def clear(self) -> None:
        while not self._sets.empty():  # nobody else takes anything out
            self._sets.get()

    def wait(self, timeout: float) -> bool:
        """Whether it is set within `timeout` seconds. For one thread only, which then clears it."""
        try:
            self._sets.get(timeout=timeout)
        except queue.Empty:
            return False
        self.set()
        return True
