"""The block of rungs on a terminal while the stack starts: one row a unit, what it waits for, and for how long."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mika import events
from mika.cli.language import shown
from mika.cli.screen.colours import BAD, GOOD, WAITING, palette
from mika.cli.screen.states import word
from mika.events import Event
from mika.wording import _

if TYPE_CHECKING:
    from rich.table import Table

_COLOURS = {"ready": GOOD, "done": GOOD, "gave_up": BAD, "exited": BAD, "unhealthy": BAD}


@dataclass(slots=True)
class _Row:
    state: str = "waiting"
    text: str = ""
    ended_at: float | None = None

    def update(self, event: Event) -> None:
        match event:
            case events.Started():
                self.state, self.text = "starting", ""
            case events.RungReached():
                self.state, self.text = "starting", event.rung
            case events.RungWaiting():
                self.state, self.text = "starting", _("{context}: {text}", context=event.rung, text=event.reason)
            case events.Ready():
                self.state, self.text = "ready", event.detail
            case events.Waiting():
                self.state, self.text = "waiting", ""
            case events.Unhealthy():
                self.state, self.text = "unhealthy", str(event.reason)
            case events.Exited():
                self.state, self.text = "done" if event.expected else "exited", str(event.reason)
            case events.BackingOff():
                self.state, self.text = "backing_off", ""
            case events.GaveUp():
                self.state, self.text = "gave_up", str(event.reason)
            case events.Stopping() | events.Stopped():
                self.state, self.text = event.kind, ""
        self.ended_at = time.monotonic() if self.state in ("ready", "gave_up", "done") else None


class Live:
    """Redraws by itself until `stop`."""

    def __init__(self, names: Sequence[str]) -> None:
        from rich.live import Live as RichLive

        self._began = time.monotonic()
        self._rows = {name: _Row() for name in names}
        # Redirecting standard output would leave rich's slow, wrapping proxy in the way of all logs that follow.
        self._live = RichLive(
            get_renderable=self._table, refresh_per_second=8, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()

    def event(self, event: Event) -> None:
        if row := self._rows.get(event.name):
            row.update(event)

    def stop(self) -> None:
        self._live.stop()

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for name, row in self._rows.items():
            elapsed = (row.ended_at or time.monotonic()) - self._began
            state = Text(word(row.state), style=palette().style(_COLOURS.get(row.state, WAITING)))
            text = Text(shown(row.text), overflow="ellipsis", no_wrap=True)
            table.add_row(Text(name, style="bold"), state, shown(_("{value:.1f} s", value=elapsed)), text)
        return table


def make_live(names: Sequence[str]) -> Live | None:
    """A live block where standard output is a terminal that can show one, else None.

    Not in the background (`mika up &`): it would be drawn over what the user types for the shell.
    """
    if not sys.stdout.isatty() or _is_in_background():
        return None
    return Live(names)


def _is_in_background() -> bool:
    if sys.platform == "win32":
        return False
    with contextlib.suppress(OSError):  # nobody's terminal
        return os.tcgetpgrp(sys.stdout.fileno()) != os.getpgrp()
    return False
