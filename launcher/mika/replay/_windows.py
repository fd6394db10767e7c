"""What has a process loaded? On Windows, where nothing forks."""

from __future__ import annotations

from collections.abc import Iterator


def tree(root: int) -> Iterator[tuple[int, int]]:
    """Each process of the tree with its parent. The parent of `root` counts as 0."""
    import psutil

    yield root, 0
    try:
        for child in psutil.Process(root).children(recursive=True):
            yield child.pid, child.ppid()
    except psutil.Error:
        return


def has_core(pid: int) -> bool:
    """Whether the core of Temporal's Python SDK is loaded in the process."""
    import psutil

    try:
        return any("temporal_sdk_bridge" in loaded.path for loaded in psutil.Process(pid).memory_maps())
    except (psutil.Error, OSError):
        return False


def is_fork(pid: int, parent: int) -> bool:
    del pid, parent
    return False
