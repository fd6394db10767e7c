"""The keys of `mika up`: read from the terminal, and what each of them does."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mika.cli.keys.console import Console
    from mika.cli.screen.view import View
    from mika.config.load import Config
    from mika.project.folder import ProjectDir


@dataclass(frozen=True, slots=True)
class Ends:
    """How the keys end it: `stop` the stack; `detach`, None where this process is the supervisor itself."""

    stop: Callable[[], None]
    detach: Callable[[], None] | None = None


def open_console(view: View, folder: ProjectDir, config: Callable[[], Config], ends: Ends) -> Console | None:
    """A status line below the logs, and keys; None where nobody sits at a terminal that can redraw a line.

    For the main thread. Whoever opens it closes it.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") == "dumb":
        return None
    from mika.cli.keys.console import Console

    console = Console(view, folder, config, ends)
    console.start()
    return console
