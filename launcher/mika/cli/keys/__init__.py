"""The keys of `mika up`: read from the terminal, and what each of them does."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from mika.frozen import frozen
from mika.wording import _

if TYPE_CHECKING:
    from mika.cli.keys.console import Console
    from mika.cli.screen.view import View
    from mika.config.load import Config
    from mika.project.folder import ProjectDir


DETACHED = _("detached; the stack goes on: `mika down` stops it")


@frozen
class Ends:
    """How the keys end it: `stop` the stack, or `detach` from it, if possible. `is_own`: Ctrl-C stops it, too."""

    stop: Callable[[], None]
    detach: Callable[[], None] | None
    is_own: bool


def can_open_console() -> bool:
    """Whether somebody sits at a terminal that can redraw a line."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def open_console(view: View, folder: ProjectDir, config: Callable[[], Config], ends: Ends) -> Console | None:
    """A status line below the logs, and keys; None where that is not possible.

    For the main thread. Whoever opens it closes it.
    """
    if not can_open_console():
        return None
    from mika.cli.keys.console import Console

    console = Console(view, folder, config, ends)
    console.start()
    return console
