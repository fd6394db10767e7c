"""What a command is waiting for, on a terminal, once it takes longer than a moment; and how a stop has ended."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mika.cli.language import safe, shown
from mika.wording import Text, _, listed

if TYPE_CHECKING:
    from mika.control.requests import Verb

_QUIET_SECONDS = 0.3
_INTERVAL = 0.1  # s
_ERASE = "\r\x1b[K"


def doing(verb: Verb, names: Sequence[str]) -> Text:
    """`restarting worker, api`."""
    which = listed(names)
    match verb:
        case "restart":
            return _("restarting {names}", names=which)
        case "start":
            return _("starting {names}", names=which)
        case "stop":
            return _("stopping {names}", names=which)


def stopped(names: Sequence[str], seconds: float, *, data_stays: bool) -> str:
    """`stopped worker, api in 1.8 s; the data stays in .mika/data`."""
    if names:
        said = _("stopped {names} in {seconds:.1f} s", names=listed(names), seconds=seconds)
    else:
        said = _("stopped in {seconds:.1f} s", seconds=seconds)
    return shown(said + _("; the data stays in .mika/data") if data_stays else said)


@contextlib.contextmanager
def progress(text: str) -> Iterator[None]:
    """Show `text` and the seconds so far on standard error, while the body runs; nothing is left of it."""
    if not sys.stderr.isatty():
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_draw, args=(safe(shown(text)), over), name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _line(text: str, seconds: float, columns: int) -> str:
    """On one row, or it could not be erased: what does not fit is left out of the text, not of the seconds."""
    from mika.cli.screen.width import fitted, width

    def said(text: str) -> str:
        return shown(_("{doing} … {seconds:.1f} s", doing=text, seconds=seconds))

    return fitted(said(fitted(text, max(1, columns - width(said(""))))), columns)


def _columns() -> int:
    """Of the terminal, but for its last one, in which some terminals begin a new row."""
    return (os.get_terminal_size(sys.stderr.fileno()).columns or 80) - 1


def _draw(text: str, over: threading.Event) -> None:
    began = time.monotonic()
    if over.wait(_QUIET_SECONDS):
        return
    with contextlib.suppress(OSError, ValueError):  # the terminal was closed
        while not over.wait(_INTERVAL):
            sys.stderr.write(f"{_ERASE}{_line(text, time.monotonic() - began, _columns())}")
            sys.stderr.flush()
        sys.stderr.write(_ERASE)
        sys.stderr.flush()
