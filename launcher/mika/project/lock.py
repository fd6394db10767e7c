"""An exclusive lock on a file, between processes. The kernel releases it when its holder exits, for any reason.

The filelock package would do the same, but would cost 4 MB of memory in every supervisor.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, *, shared: bool) -> None:
        del shared  # the C runtime has no such lock
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int, *, shared: bool) -> None:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


_LOOK_SECONDS, _INTERVAL = 0.05, 0.005
"""How long `acquire` tries: `is_held` takes the lock for an instant, and that must not look like a running stack."""


class FileLock:
    """Child processes do not share it, because Python does not let them inherit descriptors."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock. Returns False while another process (or another FileLock) holds it.

        Raises OSError if the file cannot be opened.
        """
        deadline = time.monotonic() + _LOOK_SECONDS
        while not self._try(shared=False):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_INTERVAL)
        return True

    def is_held(self) -> bool:
        """Whether another process (or another FileLock) holds it. Raises OSError as `acquire` does."""
        is_free = self._try(shared=True)  # so that two that look at once do not take each other for a holder
        self.release()
        return not is_free

    def _try(self, *, shared: bool) -> bool:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(descriptor, shared=shared)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
