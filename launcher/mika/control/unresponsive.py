"""A supervisor that does not answer: suspended, or hung."""

from __future__ import annotations

import contextlib
import sys

from mika.machine.local import process_state
from mika.quoting import kill_command
from mika.wording import Text, _


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


def kill(pid: int) -> None:
    """Its guards then stop the services."""
    import psutil

    with contextlib.suppress(psutil.Error):
        psutil.Process(pid).kill()
