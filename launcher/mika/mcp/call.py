"""One command of mika that runs for a tool."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence

from mika.frozen import frozen

if sys.platform == "win32":
    from mika.mcp._windows import end_tree
else:
    from mika.mcp._posix import end_tree

_AT_ONCE = threading.BoundedSemaphore(4)
"""Each is a whole Python: more of them would be slower for all."""
_END_SECONDS = 5.0
_ENGLISH = {"MIKA_LANG": "en"}
"""Whatever the user reads: agents get what is documented, and what others have seen."""


@frozen
class Done:
    """What a command has printed; `code` is None if it took too long."""

    code: int | None
    out: str
    err: str


class Call:
    """It may be cancelled from another thread, at any moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self.is_cancelled = False

    def run(self, command: Sequence[str], limit: float) -> Done:
        """Wait for the command, `limit` seconds at most. Raises OSError or ValueError if it cannot be started."""
        with _AT_ONCE:
            with self._lock:
                if self.is_cancelled:
                    return Done(None, "", "")
                self._process = process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=os.environ | _ENGLISH,
                    encoding="utf-8",
                    errors="replace",
                    start_new_session=True,
                )
            try:
                out, err = process.communicate(timeout=limit)
                return Done(process.returncode, out, err)
            except subprocess.TimeoutExpired:
                self._end()
                return Done(None, "", "")
            finally:
                _close(process)

    def cancel(self) -> None:
        """Nobody waits for the answer any more."""
        self.is_cancelled = True
        self._end()

    def _end(self) -> None:
        with self._lock:
            if self._process is not None and self._process.returncode is None:
                end_tree(self._process.pid)


def _close(process: subprocess.Popen[str]) -> None:
    """Reap it. Its pipes may be open for longer: a guard that still stops its process has them, too."""
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
