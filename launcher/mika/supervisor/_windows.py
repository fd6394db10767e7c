"""Nothing that is left needs to be recognized on Windows: the Job Object of a guard takes the whole tree with it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable
from pathlib import Path


def mark_of(pid: int) -> int:
    del pid
    return 0


def start_of(pid: int) -> str:
    """What distinguishes a process from a later one with the same pid. Raises psutil.Error if it is gone."""
    import psutil

    return repr(
        psutil.Process(pid).create_time()
    )  # the kernel wrote it down at the start: setting the clock changes nothing


def watch_exit(pid: int, on_exit: Callable[[], None]) -> Callable[[], None]:
    del pid, on_exit  # nobody suspends a guard here
    return lambda: None


def last_pid() -> bytes:
    return b"unknown"


class Trees:
    def __init__(self, roots: Iterable[int]) -> None:
        self._roots = tuple(roots)

    def look(self) -> dict[int, list[int]]:
        return {root: [] for root in self._roots}


def is_in_session(pid: int, leaders: Collection[int]) -> bool:
    del pid, leaders
    return False


def reap(pid: int) -> None:
    del pid


def is_launcher(pid: int) -> bool:
    r"""Whether it only starts the Python of an environment, as a child: `Scripts\python.exe`, `Scripts\uvicorn.exe`.

    One that has the library of Python beside it is a Python itself (a copy).
    """
    folder = _program(pid).parent
    return folder.name.lower() == "scripts" and not any(folder.glob("python3*.dll"))


def _program(pid: int) -> Path:
    """Empty if the system tells nothing. What was typed (`cmdline`) may be that of the launcher in its child, too."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError, IndexError):
        process = psutil.Process(pid)
        try:
            return Path(process.exe())
        except OSError:  # Wine
            return Path(process.cmdline()[0])
    return Path()
