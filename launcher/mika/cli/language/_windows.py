"""The user's language on Windows."""

from __future__ import annotations

import ctypes
import os
import sys

if sys.platform != "win32":
    raise ImportError("mika.cli.language._windows only works on Windows")

# https://learn.microsoft.com/openspecs/windows_protocols/ms-lcid: zh-CN and zh-SG.
_SIMPLIFIED_CHINESE = {0x0804, 0x1004}


def preferred() -> str:
    """The language of Windows' own menus. Git's shell and others set LANG as on Linux: that comes first."""
    if named := next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), ""):
        return named
    return "zh_CN" if ctypes.windll.kernel32.GetUserDefaultUILanguage() in _SIMPLIFIED_CHINESE else "en"
