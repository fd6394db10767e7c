"""What `mika up` shows: the rungs while it starts, then addresses, then logs with what happens in between."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mika import events
from mika.cli.language import shown
from mika.cli.screen.colours import BAD, GOOD, WAITING, paint
from mika.cli.screen.live import Live, make_live
from mika.cli.screen.relay import Relay
from mika.cli.screen.states import word
from mika.cli.screen.width import pad, width
from mika.cli.spelling import called_as, pasteable
from mika.events import Event
from mika.wording import _, listed

if TYPE_CHECKING:
    from mika.cli.screen.pretty import Pretty
    from mika.cli.screen.relay import Pinned
    from mika.cli.screen.selection import Selection
    from mika.project import logs

_QUIET_SECONDS = 9.0
"""A wait is shown once it has lasted this long since the unit's last line; most are over in no time."""
_TERM = 12  # columns


class View:
    """Listens to events. `ready` comes from the command, which knows the status.

    With `pretty` the lines of logs are readable, and events stand between them in the same columns. `logged` are those
    whose output is shown, if not all: databases in containers talk too much. `is_start` False: the stack is up already,
    so there is no start to show, and the command does not end with the stack's error. `plain`: nothing is ever redrawn.
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
        self._starting = self._is_own = is_start
        self._stopping = False
        self._width = max(map(width, names), default=0)
        self.names, self.logged = names, names if logged is None else logged
        self._relay = Relay(folder, self.logged, color=color, pretty=pretty)
        self._held: list[str] = []
        self._last_line: dict[str, float] = {}  # when each unit last had one
        self._live: Live | None = make_live(names) if is_start and not quiet and not plain else None

    def event(self, event: Event) -> None:
        if self._quiet:
            return
        if isinstance(event, events.StackChanged) and event.state == "stopping":
            self._stopping = True
            self._end_start()
        if self._starting and self._live is not None:
            self._live.event(event)
            is_last = isinstance(event, events.Exited) and event.last_lines
            if not (is_last or isinstance(event, events.Notice | events.GaveUp)):
                return
        is_error = isinstance(event, events.Notice) and event.level == "error"
        if is_error and self._is_own and (self._starting or self._stopping):
            return  # the command itself ends with this error
        if isinstance(event, events.RungWaiting) and self._quiet_for(event.name) < _QUIET_SECONDS:
            return
        if text := describe(event, starting=self._starting):
            self._last_line[event.name] = time.monotonic()
            pretty = self._relay.pretty
            if pretty is not None and not self._starting:
                self.say(pretty.event(event.name, time.time(), text).removesuffix("\n"))
                return
            name = pad(event.name, self._width)
            after = _("{value:6.1f} s", value=time.monotonic() - self._began)
            stamp = f"{shown(after)}  " if self._starting else ""
            self.say(f"{stamp}{click.style(name, bold=True)}  {text}" if event.name else f"{stamp}{text}")

    def ready(self, addresses: Mapping[str, str], *, has_webhook: bool = False) -> None:
        """The whole stack is ready: say where things are (by name) and what to type next.

        `has_webhook`: `mika send` would be answered.
        """
        self._end_start()
        if self._quiet:
            return
        ready, took = paint(word("ready"), GOOD), time.monotonic() - self._began
        self._relay.say("\n" + shown(_("{ready} after {seconds:.1f} s", ready=ready, seconds=took)))
        rows = [(name.replace("_", " "), address) for name, address in addresses.items()]
        rows.append((shown(_("logs")), ".mika/logs"))
        if has_webhook:
            rows.append((shown(_("try it")), f'{called_as()} send "hello"'))
        for term, text in rows:
            self._relay.say(f"  {pad(term, _TERM)} {text}")
        self._relay.say("")

    def show_logs(self) -> None:
        self._end_start()
        self._relay.show_logs()

    def say(self, text: str) -> None:
        """Print a line, after the live block where there is one."""
        if self._quiet:
            return
        line = pasteable(shown(text))
        if self._live is None:
            self._relay.say(line)
        else:
            self._held.append(line)

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

    def close(self, *, at_once: bool = False) -> None:
        """Print what is left, or only what was said. What happens later is not shown."""
        self._end_start()
        self._quiet = True
        self._relay.close(at_once=at_once)

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
    """One event as one line for a person, in the user's language; empty for what needs no line."""
    match event:
        case events.RungReached() | events.RungWaiting() if not starting:
            return ""
        case events.Exited(expected=False):
            return _with_lines(_text(event), event.last_lines if starting else ())
        case events.GaveUp():
            return _with_lines(_text(event), event.last_lines)
        case events.Unhealthy():
            return paint(shown(_text(event)), BAD)
        case events.BackingOff():
            return paint(shown(_text(event)), WAITING)
        case events.Notice():
            colour = {"warning": WAITING, "error": BAD}.get(event.level)
            return paint(shown(event.message), colour)
    return shown(_text(event))


def _text(event: Event) -> str:
    match event:
        case events.RungReached():
            return event.rung
        case events.RungWaiting():
            return _("waiting for {rung}: {reason}", rung=event.rung, reason=event.reason)
        case events.Started():
            return _("started (pid {pid})", pid=event.pid)
        case events.Ready():
            ready = paint(word("ready"), GOOD)
            return _("{context}: {text}", context=ready, text=event.detail) if event.detail else ready
        case events.Waiting():
            return _("waiting for {needs}", needs=listed(event.needs))
        case events.Unhealthy():
            return _("unhealthy: {reason}", reason=event.reason)
        case events.Exited(expected=True):
            return _("exited ({reason})", reason=event.reason.text)
        case events.Exited():
            return _("exited: {reason}", reason=event.reason)
        case events.BackingOff():
            return _("starts again in {seconds:.1f} s (failure {count})", seconds=event.delay, count=event.failures)
        case events.GaveUp():
            return _("gave up: {reason}", reason=event.reason)
        case events.Stopping():
            return _("stopping")
    return ""


def _with_lines(text: str, lines: Sequence[str]) -> str:
    return "\n".join([paint(shown(text), BAD), *(f"    {shown(line)}" for line in lines)])
