"""End a command and what it started (Linux, macOS)."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

if sys.platform == "win32":
    raise ImportError("mika.mcp._posix does not work on Windows")


def end_tree(pid: int) -> None:
    """`pid` leads its own group. Guards have theirs: they see that the command has ended, and stop theirs too."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
