"""Facts about this machine: whether a process is alive, a host is local, a folder is writable, descriptors are left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Literal, TypeVar

T = TypeVar("T")
_DESCRIPTORS = 9
"""With so many free ones a process can be started. Python 3.11 opens six of them for a moment (pipes, the null device);
other threads may open some, too."""


def process_state(pid: int) -> Literal["gone", "stopped", ""]:
    """`gone`, `stopped` (suspended), or an empty string if the process may be working."""
    import psutil

    try:
        status = psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return "gone"
    except (psutil.Error, OSError):
        return ""
    if status in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
        return "gone"
    return "stopped" if status in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP) else ""


def environ_of(pid: int) -> Mapping[str, str]:
    """The environment that a process was started with; empty if the system does not tell."""
    import psutil

    try:
        return psutil.Process(pid).environ()
    except (psutil.Error, OSError):
        return {}


class CpuUse:
    """How much CPU some processes use."""

    def __init__(self, pids: Callable[[], Collection[int]]) -> None:
        self._pids = pids
        self._seconds, self._at = 0.0, float("-inf")

    def share(self) -> float:
        """CPU seconds for each second since the last call; 0 for the first call. A new process counts as a whole."""
        import psutil

        seconds = 0.0
        for pid in self._pids():
            with contextlib.suppress(psutil.Error, OSError):
                times = psutil.Process(pid).cpu_times()
                seconds += times.user + times.system
        used, self._seconds = seconds - self._seconds, seconds
        now = time.monotonic()
        elapsed, self._at = now - self._at, now
        return max(0.0, used) / elapsed


def require_descriptors() -> None:
    """Raise OSError if too few file descriptors are left to start a process.

    Where they run out in the middle of a start, Python before 3.11.4 (Debian 12 has 3.11.2) loses some each time
    (python/cpython#87474). A supervisor that tries again and again would have none left for whoever asks it.
    """
    with contextlib.ExitStack() as opened:
        for _number in range(_DESCRIPTORS):
            opened.callback(os.close, os.open(os.devnull, os.O_RDONLY))


def is_this_machine(host: str) -> bool:
    return host in (socket.gethostname(), socket.getfqdn())


async def in_thread(work: Callable[[], T]) -> T:
    """Like asyncio.to_thread, but the program can exit before the thread: a name lookup may hang for minutes."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # T may itself be None

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except Exception as failure:  # noqa: BLE001 - it is raised by the `await` below
            error = failure
        with contextlib.suppress(RuntimeError):  # the loop is closed, so there is nobody to receive the result
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, daemon=True, name="mika").start()
    return await future


def is_writable(folder: Path) -> bool:
    """Whether files can be created in `folder`. If it does not exist yet, whether it can be created."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK)
