"""What a test run has started ends with it, however it ends: also when all of pytest is killed (POSIX).

Each process of pytest has a reaper, which is no descendant of it and holds the other end of a pipe. At the end of the
pipe the reaper kills whatever has the mark of this pytest in its environment, and all descendants of that. So a test
that starts a process with an environment of its own puts `marks()` into it.

This is a plugin of pytest; other programs that start processes by the kit call `end_with_us`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil

MARK = "KIT_RUN"
_PATIENCE = 10.0  # s, for what is being killed


@functools.cache
def end_with_us() -> None:
    """Mark all that this process will start, and have it killed when this process is gone."""
    if os.name != "posix":
        return
    # Behind the mark of the pytest that may have started this one: whatever ends with us, ends with that one, too.
    mark = os.environ.get(MARK, "") + uuid.uuid4().hex + "."
    read, _held_until_we_end = os.pipe()
    subprocess.run(
        [sys.executable, "-P", __file__, mark],
        stdin=read,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if name != MARK},
        check=True,
    )
    os.close(read)
    os.environ[MARK] = mark


def pytest_configure() -> None:
    end_with_us()


def marks() -> dict[str, str]:
    """For an environment that is not made from that of this process."""
    return {MARK: os.environ[MARK]} if MARK in os.environ else {}


def has_mark(pid: int, start: str) -> bool:
    """Whether the environment of a process has a line that begins with this. Raises psutil.Error, OSError."""
    if sys.platform != "linux":
        return any(f"{name}={value}".startswith(start) for name, value in psutil.Process(pid).environ().items())
    # All processes of the machine are asked again and again, and psutil needs six times as long to read a dictionary.
    return f"\0{start}".encode() in b"\0" + Path(f"/proc/{pid}/environ").read_bytes()


def _reap(mark: str) -> None:
    """Kill all that has this mark, until nothing of it appears any more: a process may just have started another."""
    deadline = time.monotonic() + _PATIENCE
    rounds_without = 0
    while rounds_without < 2 and time.monotonic() < deadline:
        found = _with_descendants(mark)
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        rounds_without = 0 if found else rounds_without + 1
        time.sleep(0.05)


def _with_descendants(mark: str) -> set[psutil.Process]:
    """A descendant may have an environment of its own, and after its parent's end nobody could tell whose it was."""
    found = set()
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            if has_mark(pid, f"{MARK}={mark}"):
                found |= {process, *process.children(recursive=True)}
    return found


if __name__ == "__main__":
    if os.fork():
        os._exit(0)
    os.setsid()  # out of reach for whoever kills pytest's group
    sys.stdin.buffer.read()
    _reap(sys.argv[1])
