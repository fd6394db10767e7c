"""The status line and the keys of `mika up`, whether the supervisor is this process or another one."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from types import FrameType

from mika.cli.keys import Ends
from mika.cli.keys.commands import Commands
from mika.cli.keys.decoding import keys_of
from mika.cli.screen import statusline
from mika.cli.screen.statusline import Bar
from mika.cli.screen.view import View
from mika.cli.screen.wakeup import Wakeup
from mika.config.load import Config
from mika.control.client import Client
from mika.errors import MikaError
from mika.project.folder import ProjectDir
from mika.stack.counts import WorkflowCounts
from mika.status import StackStatus

if sys.platform == "win32":
    from mika.cli.keys._windows import Terminal
else:
    from mika.cli.keys._posix import Terminal

_SETTLE, _LONGEST = 0.1, 10.0
"""Seconds until the status is looked at: soon after an event, and now and then without one."""
_COUNT_INTERVAL = 5.0  # s, between two counts of workflows
_ERASE_SECONDS = 0.3
_BACKGROUND_INTERVAL = 0.25  # s


class Console:
    """Made, started and closed in the main thread. `changed` may be called from any thread."""

    def __init__(self, view: View, folder: ProjectDir, config: Callable[[], Config], ends: Ends) -> None:
        self._view, self._client, self._config = view, Client(folder), config
        self._terminal = Terminal()
        self._commands = Commands(view, folder, config, ends, self._draw)
        self._status: StackStatus | None = None
        self._workflows = ""
        self._changed, self._over = Wakeup(), threading.Event()
        self._suspended = False
        self._handlers: dict[int, object] = {}
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for name, target in (("status line", self._watch), ("keys", self._read))
        ]

    def start(self) -> None:
        self._catch_signals()
        if self._terminal.is_ours():
            self._terminal.take()  # before anything is drawn: some have to be told to understand escapes
        for thread in self._threads:
            thread.start()

    def changed(self) -> None:
        """Something has happened: look at the status again."""
        self._changed.set()

    def close(self) -> None:
        """Leave the terminal as it was, with nothing at its bottom."""
        self._over.set()
        self._changed.set()
        self._view.pin(None)
        self._terminal.give_back()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._handlers.clear()

    # --- the status line ---------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        with WorkflowCounts(self._config) as counts:
            while not self._over.is_set():
                self._changed.clear()
                with contextlib.suppress(MikaError):  # it is just starting or stopping: what it said last stays
                    self._status = self._client.status()
                self._draw()
                self._count_until_changed(counts)
                self._over.wait(_SETTLE)  # more events may follow, and the status may follow the event

    def _count_until_changed(self, counts: WorkflowCounts) -> None:
        """Also returns after a while: not everything in a status comes with an event."""
        deadline = time.monotonic() + _LONGEST
        while not self._over.is_set() and (left := deadline - time.monotonic()) > 0:
            if self._has_temporal() and self._terminal.is_ours():
                found = counts.look()
                words = statusline.workflow_words(*found) if found is not None else ""
                if words != self._workflows:
                    self._workflows = words
                    self._draw()
            if self._changed.wait(min(_COUNT_INTERVAL, left)):
                return

    def _has_temporal(self) -> bool:
        """Whether a Temporal server that this stack needs is ready."""
        return self._status is not None and any(
            service.type == "temporal" and service.is_ready for service in self._status.services
        )

    def _draw(self) -> None:
        if self._over.is_set() or self._suspended or not self._terminal.is_ours():
            self._view.pin(None)
            return
        bar = statusline.bar_of(self._status) if self._status is not None else Bar()
        self._commands.status = self._status
        bar = replace(bar, workflows=self._workflows, shown=self._commands.shown, question=self._commands.question)
        self._view.pin(lambda width: statusline.render(bar, width))

    # --- keys --------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        self._terminal.prepare_thread()
        was_ours = True
        while not self._over.is_set():
            try:
                is_ours = self._terminal.is_ours() and not self._suspended
                if is_ours != was_ours:
                    was_ours = is_ours
                    self._draw()
                if not is_ours:
                    self._over.wait(_BACKGROUND_INTERVAL)
                    continue
                self._terminal.take()
                keys = keys_of(self._terminal.read())
            except OSError:  # the terminal is gone: SIGHUP says what becomes of us
                return
            for key in keys:
                self._commands.press(key)

    # --- signals -----------------------------------------------------------------------------------------------------

    # The handlers interrupt the main thread wherever it is, so they wait for no lock that it may have.

    def _catch_signals(self) -> None:
        """Where nobody else does, the terminal is given back before a signal ends or stops this process."""
        for name, handler in (
            ("SIGTERM", self._end),
            ("SIGHUP", self._end),
            ("SIGQUIT", self._end),
            ("SIGTSTP", self._suspend),
        ):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                self._handlers[number] = signal.signal(number, handler)

    def _leave_terminal(self) -> None:
        self._view.pin(None)
        self._view.wait_unpinned(_ERASE_SECONDS)
        self._terminal.give_back()

    def _end(self, number: int, _: FrameType | None) -> None:
        self._suspended = True
        try:
            self._leave_terminal()
        finally:  # whatever has become of the terminal
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _suspend(self, number: int, _: FrameType | None) -> None:
        """Ctrl-Z: stop here, and go on after `fg` (or `bg`)."""
        self._suspended = True
        self._leave_terminal()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # returns when it is continued
        signal.signal(number, self._suspend)
        self._terminal.resume()
        if self._terminal.is_ours():  # the thread that reads keys may notice it only after some seconds
            self._terminal.take()
        self._suspended = False
        self._changed.set()
