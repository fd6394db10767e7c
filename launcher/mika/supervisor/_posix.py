"""What the system tells about a process, whatever it has done to its title, environment, session or user.

`MARK` is the soft limit RLIMIT_LOCKS, which Linux does not use: descendants inherit it, everybody may read it, and even
a zombie has it. The upper bits stand for the run, the lower ones are the pid of the guard. Elsewhere there is none.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable
from functools import cache
from pathlib import Path

from mika.guard._posix import all_pids, children_of_all, descendants

if sys.platform == "win32":
    raise ImportError("mika.supervisor._posix does not work on Windows")

_LIMIT = re.compile(rb"^Max file locks +(\d+) ", re.MULTILINE)


def mark_of(pid: int) -> int:
    """The mark of a process; 0 if it has none, or is gone."""
    try:
        found = _LIMIT.search(Path(f"/proc/{pid}/limits").read_bytes())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def start_of(pid: int) -> str:
    """What distinguishes a process from a later one with the same pid: the boot, and the ticks since then.

    Not the time of day, which psutil calculates from the clock: that may be set. Raises OSError or psutil.Error if the
    process is gone.
    """
    if sys.platform != "linux":
        import psutil

        return repr(psutil.Process(pid).create_time())
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    # Field 22, `starttime`: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    return f"{_boot_id()} {int(fields[19])}"


@cache
def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def watch_exit(pid: int, on_exit: Callable[[], None]) -> Callable[[], None]:
    """Call `on_exit` from the event loop when the process exits, also while nobody reaps it. Returns what ends that.

    Only Linux can tell.
    """
    if sys.platform != "linux":
        return lambda: None
    import asyncio

    try:
        descriptor = os.pidfd_open(pid)
    except OSError:  # it has been reaped already, or this kernel is older than 5.3
        return lambda: None
    loop, is_open = asyncio.get_running_loop(), True

    def stop() -> None:
        nonlocal is_open
        if is_open:  # once only: by the second time, the number may be that of another pipe or socket
            is_open = False
            loop.remove_reader(descriptor)
            os.close(descriptor)

    def exited() -> None:
        stop()
        on_exit()

    loop.add_reader(descriptor, exited)
    return stop


def last_pid() -> bytes:
    """Changes with each process and thread that is started on this machine. Empty where that is not known."""
    try:
        return Path("/proc/loadavg").read_bytes().split()[-1]
    except OSError:
        return b""


class Trees:
    """The descendants of some processes. A later look is cheap: it reads only what is new, and the trees again."""

    def __init__(self, roots: Iterable[int]) -> None:
        self._roots = tuple(roots)
        self._others: set[int] = set()

    def look(self) -> dict[int, list[int]]:
        pids = set(all_pids())
        children = children_of_all(pids - self._others)
        trees = {root: descendants(root, children) for root in self._roots}
        self._others = pids.difference(*trees.values())
        return trees


def is_in_session(pid: int, leaders: Collection[int]) -> bool:
    """Whether the process is in the session, or in the process group, of one of `leaders`."""
    try:
        return os.getsid(pid) in leaders or os.getpgid(pid) in leaders
    except OSError:
        return False


def reap(pid: int) -> None:
    """Collect a zombie that has become a child of this process, which happens to PID 1 of a container."""
    with contextlib.suppress(OSError):
        os.waitpid(pid, os.WNOHANG)


def is_launcher(pid: int) -> bool:
    del pid  # a script becomes its interpreter, and an environment has a link to its Python
    return False
