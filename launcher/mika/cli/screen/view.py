"""What `mika up` shows: the rungs while it starts, then addresses, then logs with what happens in between.

It gets events as dictionaries, so that a terminal that attaches (and reads them from the event log) sees the same.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from mika.cli.screen.live import Live, make_live
from mika.cli.screen.relay import Relay
from mika.readiness.ladder import REMIND


class View:
    """Listens to events. `ready` and `ended` come from the command, which knows the status.

    `logged` are those whose output is shown, if not all: databases in containers talk too much.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        *,
        color: bool,
        quiet: bool = False,
        logged: Sequence[str] | None = None,
    ) -> None:
        self._began = time.monotonic()
        self._quiet = quiet
        self._starting = True
        self._width = max((len(name) for name in names), default=0)
        self._relay = Relay(folder, names if logged is None else logged, color=color)
        self._held: list[str] = []
        self._told: dict[str, float] = {}  # when each unit last had a line
        self._live: Live | None = None if quiet else make_live(names)

    def event(self, event: dict[str, Any]) -> None:
        if self._quiet:
            return
        if event["kind"] == "stack" and event["state"] == "stopping":
            self._end_start()
        if self._starting and self._live is not None:
            self._live.event(event)
            if event["kind"] not in ("notice", "gave_up"):
                return
        if self._starting and event["kind"] == "notice" and event["level"] == "error":
            return  # the command itself ends with this error
        text = describe(event, starting=self._starting)
        if event["kind"] == "rung_waiting" and self._quiet_for(event["name"]) < 0.9 * REMIND:
            return  # most waits are over in no time
        if text:
            self._told[event["name"]] = time.monotonic()
            name = event["name"].ljust(self._width)
            stamp = f"{time.monotonic() - self._began:6.1f} s  " if self._starting else ""
            self.say(f"{stamp}{click.style(name, bold=True)}  {text}" if event["name"] else f"{stamp}{text}")

    def ready(self, status: dict[str, Any]) -> None:
        """The whole stack is ready: say where things are and what to type next."""
        self._end_start()
        if self._quiet:
            return
        self._relay.say(f"\n{click.style('ready', fg='green')} after {time.monotonic() - self._began:.1f} s")
        for name, url in status["urls"].items():
            self._relay.say(f"  {name.replace('_', ' '):<12} {url}")
        self._relay.say(f"  {'logs':<12} .mika/logs")
        if "api" in status["urls"]:
            self._relay.say('  try it       mika send "hello"')
        self._relay.say("")

    def show_logs(self) -> None:
        self._end_start()
        self._relay.show_logs()

    def say(self, text: str) -> None:
        """Print a line, after the live block where there is one."""
        if self._quiet:
            return
        if self._live is None:
            self._relay.say(text)
        else:
            self._held.append(text)

    def close(self) -> None:
        self._end_start()
        self._relay.close()

    def _quiet_for(self, name: str) -> float:
        return time.monotonic() - self._told.get(name, self._began)

    def _end_start(self) -> None:
        self._starting = False
        if self._live is not None:
            self._live.stop()
            self._live = None
            for text in self._held:
                self._relay.say(text)


def describe(event: dict[str, Any], *, starting: bool) -> str:
    """One event as one line for a person; empty for what needs no line."""
    kind = event["kind"]
    match kind:
        case "rung_reached":
            return event["rung"] if starting else ""
        case "rung_waiting":
            return f"waiting for {event['rung']}: {event['error']}" if starting else ""
        case "started":
            return f"started (pid {event['pid']})"
        case "ready":
            detail = f": {event['detail']}" if event["detail"] else ""
            return click.style("ready", fg="green") + detail
        case "waiting":
            return f"waits for {', '.join(event['needs'])}"
        case "unhealthy":
            return click.style(f"unhealthy: {event['reason']}", fg="red")
        case "exited" if event["expected"]:
            return f"stopped ({event['reason']})"
        case "exited":
            return click.style(f"exited: {event['reason']}", fg="red")
        case "backing_off":
            return click.style(f"starts again in {event['delay']:.1f} s (failure {event['failures']})", fg="yellow")
        case "gave_up":
            lines = [click.style(f"gave up: {event['reason']}", fg="red")]
            return "\n".join([*lines, *(f"    {line}" for line in event["last_lines"])])
        case "stopping":
            return "stopping"
        case "notice":
            colour = {"warning": "yellow", "error": "red"}.get(event["level"])
            return click.style(event["message"], fg=colour) if colour else str(event["message"])
    return ""


def use_color() -> bool:
    """Whether standard output shows colours: FORCE_COLOR, NO_COLOR, else whether it is a terminal."""
    context = click.get_current_context(silent=True)
    if context is not None and context.color is not None:
        return context.color
    return sys.stdout.isatty()
