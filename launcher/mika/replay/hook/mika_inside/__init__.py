"""What runs inside the worker's own program while mika checks it, describes it or lets a debugger in.

Nothing of the Temporal SDK is imported before the program itself imports it: until then, only the standard library.
The parent gives an order in MIKA_INSIDE, and reads the lines that `report.say` writes.
"""

from __future__ import annotations

import sys
import traceback
from types import TracebackType

from . import commands, debugging, isolation, workers
from .locating import is_own
from .report import ORDER, say


def install() -> None:
    """Prepare this interpreter. A module of the SDK is patched when the program imports it."""
    say("hook")
    if ORDER["do"] == "debug":
        debugging.install()
        return
    isolation.install()
    commands.install()
    workers.install()
    _report_errors()


def _report_errors() -> None:
    """Say why the program ends, if it ends with an exception."""
    plain = sys.excepthook

    def on_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        frames = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(trace)]
        if isinstance(error, SyntaxError) and error.filename:
            frames = [(error.filename, error.lineno or 0)]
        text = getattr(error, "msg", None) or str(error)
        missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
        say("error", type=kind.__name__, text=text[:2000], where=_own_frame(frames), missing=missing)
        plain(kind, error, trace)

    sys.excepthook = on_error


def _own_frame(frames: list[tuple[str, int]]) -> list[object] | None:
    """The innermost frame of the project's own code, or else the innermost one, as [file, line]."""
    own = [frame for frame in frames if is_own(frame[0])]
    return list((own or frames)[-1]) if frames else None
