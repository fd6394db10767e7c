"""The children of a process, and theirs.

psutil looks at all processes of the machine for that: milliseconds, and a status asks for each process of the stack.
Linux keeps a list of the children. It may lack one while another exits, so a decision needs a second look:
https://man7.org/linux/man-pages/man5/proc_tid_children.5.html
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

_COMPILERS = ("compile", "link", "asm", "cgo", "cc1", "cc1plus", "javac", "rustc")  # the first four are Go's


def children_of(pid: int) -> list[int]:
    """Empty if it is gone."""
    return _listed(pid, recursive=False)


def family_of(pid: int) -> list[int]:
    """The process and its descendants, parents first."""
    return [pid, *_listed(pid, recursive=True)]


def compiler_in(pid: int) -> str:
    """The compiler that works below this process, as `go run` and `cargo run` start one; empty if none does."""
    import psutil

    for each in _listed(pid, recursive=True):
        with contextlib.suppress(psutil.Error, OSError):
            name = psutil.Process(each).name().removesuffix(".exe")
            if name in _COMPILERS:
                return name
    return ""


def _listed(pid: int, *, recursive: bool) -> list[int]:
    if sys.platform == "linux":
        try:
            found = _of_linux(pid)
            for child in found if recursive else ():
                found += _of_linux(child)
        except OSError:  # one has exited since its parent was asked, or this kernel has no such list
            pass
        else:
            return found
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=recursive)]
    except (psutil.Error, OSError):
        return []


def _of_linux(pid: int) -> list[int]:
    """Of all its threads."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for thread in threads for child in (thread / "children").read_bytes().split()]
