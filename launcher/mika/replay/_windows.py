"""What has a process loaded? On Windows, where nothing forks."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from ctypes import wintypes

_QUERY_AND_READ = 0x0400 | 0x0010  # PROCESS_QUERY_INFORMATION | PROCESS_VM_READ
_ALL_MODULES = 3  # LIST_MODULES_ALL
_MOST = 2048


class Tree:
    """A process and its descendants."""

    def __init__(self, root: int) -> None:
        self._root = root

    def look(self) -> list[tuple[int, int]]:
        """Each process with its parent. The parent of `root` counts as 0."""
        import psutil

        found = [(self._root, 0)]
        with contextlib.suppress(psutil.Error):
            found += [(child.pid, child.ppid()) for child in psutil.Process(self._root).children(recursive=True)]
        return found


def has_core(pid: int) -> bool:
    """Whether the core of Temporal's Python SDK is loaded in the process.

    Not by psutil: its `memory_maps` looks at each page, which takes much longer than the 30 ms between two looks.
    """
    if sys.platform != "win32":
        raise NotImplementedError
    kernel = ctypes.WinDLL("kernel32")
    kernel.OpenProcess.restype = wintypes.HANDLE
    process = wintypes.HANDLE(kernel.OpenProcess(_QUERY_AND_READ, False, pid))
    if not process:
        return False
    modules, size, name = (wintypes.HMODULE * _MOST)(), wintypes.DWORD(), ctypes.create_unicode_buffer(260)
    try:
        # https://learn.microsoft.com/en-us/windows/win32/api/psapi/nf-psapi-enumprocessmodulesex
        found = kernel.K32EnumProcessModulesEx(
            process, modules, ctypes.sizeof(modules), ctypes.byref(size), _ALL_MODULES
        )
        count = min(size.value // ctypes.sizeof(wintypes.HMODULE), _MOST) if found else 0
        for module in modules[:count]:
            kernel.K32GetModuleBaseNameW(process, wintypes.HMODULE(module), name, len(name))
            if "temporal_sdk_bridge" in name.value:
                return True
    finally:
        kernel.CloseHandle(process)
    return False


def is_fork(pid: int, parent: int) -> bool:
    del pid, parent
    return False
