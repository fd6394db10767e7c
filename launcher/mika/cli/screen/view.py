"""What `mika up` shows: the rungs while it starts, then addresses, then logs with what happens in between."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mika import events
from mika.cli.screen.colours import BAD, GOOD, WAITING, paint
from mika.cli.screen.live import Live, make_live
from mika.cli.screen.relay import Relay
from mika.cli.spelling import called_as, pasteable
from mika.events import Event

if TYPE_CHECKING:
    from mika.cli.screen.pretty import Pretty
    from mika.cli.screen.relay import Pinned
    from mika.cli.screen.selection import Selection
    from mika.project import logs

_QUIET_SECONDS = 9.0
"""A wait is shown once it has lasted this long since the unit's last line; most are over in no time."""


class View:
    """Listens to events. `ready` comes from the command, which knows the status.

    With `pretty` the lines of logs are readable, and events stand between them in the same columns. `logged` are those
    whose output is shown, if not all: databases in containers talk too much. `is_start` False: the stack is up already,
    so there is no start to show. `plain`: nothing is ever redrawn.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        *,
        color: bool,
        pretty: Pretty | None = None,
        quiet: bool = False,
        logged: Sequence[str] | None = None,
        is_start: bool = True,
        plain: bool = False,
    ) -> None:
        self._began = time.monotonic()
        self._quiet = quiet
        self._starting = is_start
        self._width = max((len(name) for name in names), default=0)
        self.names, self.logged = names, names if logged is None else logged
        self._relay = Relay(folder, self.logged, color=color, pretty=pretty)
        self._held: list[str] = []
        self._last_line: dict[str, float] = {}  # when each unit last had one
        self._live: Live | None = make_live(names) if is_start and not quiet and not plain else None

    def event(self, event: Event) -> None:
        if self._quiet:
            return
        if isinstance(event, events.StackChanged) and event.state == "stopping":
            self._end_start()
        if self._starting and self._live is not None:
            self._live.event(event)
            is_last = isinstance(event, events.Exited) and event.last_lines
            if not (is_last or isinstance(event, events.Notice | events.GaveUp)):
                return
        if self._starting and isinstance(event, events.Notice) and event.level == "error":
            return  # the command itself ends with this error
        if isinstance(event, events.RungWaiting) and self._quiet_for(event.name) < _QUIET_SECONDS:
            return
        if text := describe(event, starting=self._starting):
            self._last_line[event.name] = time.monotonic()
            pretty = self._relay.pretty
            if pretty is not None and not self._starting:
                self.say(pretty.event(event.name, time.time(), text).removesuffix("\n"))
                return
            name = event.name.ljust(self._width)
            stamp = f"{time.monotonic() - self._began:6.1f} s  " if self._starting else ""
            self.say(f"{stamp}{click.style(name, bold=True)}  {text}" if event.name else f"{stamp}{text}")

    def ready(self, addresses: Mapping[str, str], *, has_webhook: bool = False) -> None:
        """The whole stack is ready: say where things are (by name) and what to type next.

        `has_webhook`: `mika send` would be answered.
        """
        self._end_start()
        if self._quiet:
            return
        self._relay.say(f"\n{paint('ready', GOOD)} after {time.monotonic() - self._began:.1f} s")
        for name, address in addresses.items():
            self._relay.say(f"  {name.replace('_', ' '):<12} {address}")
        self._relay.say(f"  {'logs':<12} .mika/logs")
        if has_webhook:
            self._relay.say(f'  try it       {called_as()} send "hello"')
        self._relay.say("")

    def show_logs(self) -> None:
        self._end_start()
        self._relay.show_logs()

    def say(self, text: str) -> None:
        """Print a line, after the live block where there is one."""
        if self._quiet:
            return
        if self._live is None:
            self._relay.say(pasteable(text))
        else:
            self._held.append(pasteable(text))

    # --- what a person chooses to see --------------------------------------------------------------------------------

    @property
    def selection(self) -> Selection:
        return self._relay.selection

    def choose(self, selection: Selection, pretty: Pretty) -> None:
        self._relay.choose(selection, pretty)

    def pin(self, pinned: Pinned | None) -> None:
        """Keep this line at the bottom of the terminal."""
        self._relay.pin(pinned)

    def wait_unpinned(self, timeout: float) -> None:
        self._relay.wait_unpinned(timeout)

    def shown_line(self, name: str, line: logs.Line) -> str:
        return self._relay.shown(name, line)

    # --- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        self._end_start()
        self._relay.close()

    def _quiet_for(self, name: str) -> float:
        return time.monotonic() - self._last_line.get(name, self._began)

    def _end_start(self) -> None:
        self._starting = False
        if self._live is not None:
            self._live.stop()
            self._live = None
            for text in self._held:
                self._relay.say(text)


def describe(event: Event, *, starting: bool) -> str:
    """One event as one line for a person; empty for what needs no line."""
    match event:
        case events.RungReached():
            return event.rung if starting else ""
        case events.RungWaiting():
            return f"waiting for {event.rung}: {event.reason}" if starting else ""
        case events.Started():
            return f"started (pid {event.pid})"
        case events.Ready():
            return paint("ready", GOOD) + (f": {event.detail}" if event.detail else "")
        case events.Waiting():
            return f"waiting for {', '.join(event.needs)}"
        case events.Unhealthy():
            return paint(f"unhealthy: {event.reason}", BAD)
        case events.Exited(expected=True):
            return f"exited ({event.reason.text})"
        case events.Exited():
            return _with_lines(f"exited: {event.reason}", event.last_lines if starting else ())
        case events.BackingOff():
            return paint(f"starts again in {event.delay:.1f} s (failure {event.failures})", WAITING)
        case events.GaveUp():
            return _with_lines(f"gave up: {event.reason}", event.last_lines)
        case events.Stopping():
            return "stopping"
        case events.Notice():
            colour = {"warning": WAITING, "error": BAD}.get(event.level)
            return paint(event.message, colour)
    return ""


def _with_lines(text: str, lines: Sequence[str]) -> str:
    return "\n".join([paint(text, BAD), *(f"    {line}" for line in lines)])
