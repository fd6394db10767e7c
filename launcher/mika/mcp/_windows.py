"""End a command and what it started (Windows)."""

from __future__ import annotations

import contextlib
import subprocess


def end_tree(pid: int) -> None:
    """Guards too: each has its processes in a job, which ends with it."""
    with contextlib.suppress(OSError):
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(pid)], capture_output=True, check=False)
