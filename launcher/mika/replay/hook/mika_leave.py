"""A worker that is done ends at once: whoever saves waits for the end of the old one before the new one starts.

After everything of the program is over, Python goes several times through all objects of the SDK, looking for cycles:
a tenth of a second of CPU, and up to half of a worker's start on a busy machine.
"""

import atexit
import gc
import sys
from _io import _IOBase
from contextlib import suppress


def install() -> None:
    atexit.register(_leave)  # before all others, so it is called after them


def _leave() -> None:
    if "temporalio" not in sys.modules:
        return
    for each in gc.get_objects():
        if issubclass(type(each), _IOBase):  # one that is part of a cycle would be closed by what is left out
            with suppress(Exception):
                each.flush()
    gc.freeze()
