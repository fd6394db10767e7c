"""The process that the shell waits for, so that a supervisor in a terminal can leave it (`d`) and go on.

A shell waits for the process that it has started, and that one cannot leave it other than by exiting. So it only waits,
and its child is the supervisor: this one tells it to exit, or exits first, and then both have the same exit code.
"""

from __future__ import annotations

import sys
from typing import Final

if sys.platform == "win32":
    from mika.cli.waiter._windows import FORKS, Waiter, begin
else:
    from mika.cli.waiter._posix import FORKS, Waiter, begin

__all__: Final = ["FORKS", "Waiter", "begin"]
