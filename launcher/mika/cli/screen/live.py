"""The block of rungs on a terminal while the stack starts: one row a unit, what it waits for, and for how long."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

_END = {"ready", "gave_up"}


class Live:
    """Redraws by itself until `stop`."""

    def __init__(self, names: Sequence[str]) -> None:
        from rich.live import Live as RichLive

        self._began = time.monotonic()
        self._rows: dict[str, dict[str, Any]] = {name: {"state": "waiting", "text": "", "end": None} for name in names}
        # Redirecting standard output would leave rich's slow, wrapping proxy in the way of all logs that follow.
        self._live = RichLive(
            get_renderable=self._table, refresh_per_second=8, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()

    def event(self, event: dict[str, Any]) -> None:
        row = self._rows.get(event["name"])
        if row is None:
            return
        kind = event["kind"]
        row["state"] = {"started": "starting", "rung_reached": "starting"}.get(kind, kind)
        if kind == "exited" and event["expected"]:
            row["state"] = "done"
        if kind == "rung_waiting":
            row["state"], row["text"] = "starting", f"{event['rung']}: {event['error']}"
        elif kind == "rung_reached":
            row["text"] = event["rung"]
        else:
            row["text"] = str(event.get("detail") or event.get("reason") or "")
        row["end"] = time.monotonic() if kind in _END or row["state"] == "done" else None

    def stop(self) -> None:
        self._live.stop()

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for name, row in self._rows.items():
            elapsed = (row["end"] or time.monotonic()) - self._began
            style = {"ready": "green", "done": "green", "gave_up": "red", "exited": "red"}.get(row["state"], "yellow")
            text = Text(row["text"], overflow="ellipsis", no_wrap=True)
            table.add_row(
                Text(name, style="bold"), Text(row["state"].replace("_", " "), style=style), f"{elapsed:.1f} s", text
            )
        return table


def make_live(names: Sequence[str]) -> Live | None:
    """A live block where standard output is a terminal that can show one, else None."""
    if not sys.stdout.isatty():
        return None
    return Live(names)
