"""Show a stack that another process supervises: its logs and events, until it ends or the user leaves."""

from __future__ import annotations

import threading
import time

from mika.cli.context import Context, Look, make_pretty, use_color
from mika.cli.keys import DETACHED, Ends, open_console
from mika.cli.screen.progress import stopped
from mika.cli.screen.table import render
from mika.cli.screen.view import View
from mika.errors import FAILED, INTERRUPTED, OK
from mika.events import Event
from mika.stack.attach import Attached
from mika.status import StackStatus
from mika.wording import _

_INTERVAL = 0.2  # s


def stream(context: Context, attached: Attached, status: StackStatus, note: str, look: Look) -> int:
    """Returns the exit code. Ctrl-C and `d` detach, `q` stops the stack."""
    streaming = _Stream(context, attached, status, look)
    streaming.view.say(note)
    streaming.view.say(_("attached to supervisor pid {pid} (Ctrl-C detaches, it goes on)", pid=status.supervisor_pid))
    streaming.view.say(render(status) + "\n")
    return streaming.run()


class _Stream:
    def __init__(self, context: Context, attached: Attached, status: StackStatus, look: Look) -> None:
        self._attached, self._folder, self._client = attached, context.folder, context.client
        self._is_over, self._stopping_since = threading.Event(), 0.0
        self._to_stop = [unit.name for unit in reversed(status.units)]
        names = [unit.name for unit in status.units]
        self.view = View(
            self._folder.logs,
            names,
            color=use_color(),
            pretty=make_pretty(look.pretty, names, self._folder.project),
            logged=[unit.name for unit in status.units if unit.kind != "container"],
            is_start=False,
            plain=look.plain,
        )
        self.view.show_logs()
        ends = Ends(stop=self._stop, detach=self._is_over.set, is_own=False)
        self._console = None if look.plain else open_console(self.view, self._folder, context.load_started, ends)

    def run(self) -> int:
        run = self._folder.read_state()
        try:
            while self._folder.is_locked():
                self._attached.forward_events(self._event)
                if self._is_over.wait(_INTERVAL):
                    self.view.say(DETACHED)
                    return OK
            self._attached.forward_events(self._event)
            was_killed = run is not None and self._folder.read_state() == run
            self._say_how_it_ended(was_killed=was_killed)
        except KeyboardInterrupt:
            self.view.say(DETACHED)
            return INTERRUPTED
        finally:
            if self._console is not None:
                self._console.close()
            self.view.close()
        return FAILED if was_killed or self._attached.last_error else OK

    def _event(self, event: Event) -> None:
        self.view.event(event)
        if self._console is not None:
            self._console.changed()

    def _stop(self) -> None:
        """Of the key, in its thread."""
        force = self._stopping_since > 0
        status = self._client.status()
        if not force:
            self._stopping_since = time.monotonic()
            self._to_stop = [unit.name for unit in reversed(status.units) if unit.is_to_stop]
        self.view.say(_("stopping at once") if force else _("stopping (q again forces it)"))
        self._client.down(force=force)

    def _say_how_it_ended(self, *, was_killed: bool) -> None:
        if was_killed:
            self.view.say(
                _("the supervisor was killed: its processes stop by themselves, and `mika up` starts them again")
            )
        elif self._stopping_since:
            took = time.monotonic() - self._stopping_since
            self.view.say(stopped(self._to_stop, took, data_stays=bool(self._folder.stored())))
