"""What the output of a process says about its exit."""

from __future__ import annotations

import contextlib

from mika.frozen import frozen
from mika.reason import NONE, Reason


@frozen(kw_only=True)
class Explanation:
    """Made by `cause.explain`, whose regular expressions no start waits for."""

    lines: tuple[str, ...] = ()
    """The last lines, without terminal escapes."""
    error_line: str = ""
    """Empty if it has done what it was to do, as far as is known."""
    cause: Reason = NONE
    """Of an exit that another attempt would repeat."""
    early_fix: str = ""
    """What to do if it exits before it was ready, whatever it says."""
    ended_itself: bool = False
    """Nobody killed it."""


UNEXPLAINED = Explanation()


def preload() -> None:
    """Import what explains an exit while nobody waits for it; at the first exit it would delay the restart."""
    with contextlib.suppress(Exception):  # it is tried again at that exit, which is then told with the error
        import mika.supervisor.cause  # noqa: F401
