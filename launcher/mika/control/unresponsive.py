"""A supervisor that does not answer: suspended, or hung."""

from __future__ import annotations

import contextlib
import sys

from mika.machine.local import process_state
from mika.quoting import kill_command
from mika.wording import Text, _

_CLOCK = 1.0
"""Seconds by which the system may tell the start of a process later than it was."""


def fix_for(pid: int | None) -> Text:
    """What to do about the supervisor with this pid, if that is known."""
    if pid is None:
        return _("if it hangs, kill that process of mika: its services then stop by themselves")
    if sys.platform != "win32" and process_state(pid) == "stopped":
        return _("it is suspended; resume it: `kill -CONT {pid}`", pid=pid)
    return _(
        "if it hangs, kill it (`{command}`): its services then stop by themselves",
        command=kill_command(pid, force=True),
    )


def kill(pid: int, started: float) -> None:
    """Its guards then stop the services. `started`: what it has written (s since the epoch) once it ran."""
    import psutil

    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if process.create_time() <= started + _CLOCK:  # else the pid is another program's by now
            process.kill()
