"""The user's language on Linux and macOS."""

from __future__ import annotations

import os
import sys

if sys.platform == "win32":
    raise ImportError("mika.cli.language._posix does not work on Windows")


def preferred() -> str:
    """The name of the locale of messages, as POSIX finds it; empty if none is set.

    https://pubs.opengroup.org/onlinepubs/9799919799/basedefs/V1_chap08.html#tag_08_02
    """
    return next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
