"""The status of a stack as a table for people."""

from __future__ import annotations

import click

from mika.status import AT_REST, Phase, StackStatus, UnitStatus

_COLOURS = {"ready": "green", "starting": "yellow", "waiting": "yellow", "backoff": "yellow", "stopping": "yellow"}
_PLAIN = ("stopped", "exited")
_SAYS_HOW_IT_EXITED = (*AT_REST, Phase.BACKOFF)
"""In these phases, the reason of a unit is its last exit."""


def render(status: StackStatus) -> str:
    head = f"{_coloured(status.state)}  backend {status.backend}, supervisor pid {status.supervisor_pid}"
    # With Temporal, the processes are told where to listen by other variables, too.
    rows = [_row(unit, shows_port=status.backend == "none") for unit in status.units]
    table = [["NAME", "STATE", "PID", "RESTARTS", "UP", "ADDRESS", ""], *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]) - 1)]
    lines = []
    for number, row in enumerate(table):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        if number:
            cells[1] = _coloured(row[1]) + " " * (widths[1] - len(row[1]))
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    urls = [f"{name.replace('_', ' ')}: {url}" for name, url in status.urls.items()]
    notes = [*map(str, status.concerns), *filter(None, [status.left_out])]
    return "\n".join([head, "", *lines, *([""] if urls else []), *urls, *([""] if notes else []), *notes])


def _row(unit: UnitStatus, *, shows_port: bool) -> list[str]:
    return [
        unit.name,
        unit.state,
        str(unit.pid or ""),
        str(unit.restarts or ""),
        _duration(unit.uptime_s),
        _address(unit, shows_port=shows_port),
        _detail(unit),
    ]


def _address(unit: UnitStatus, *, shows_port: bool) -> str:
    """Where it is. Of a process that listens nowhere (yet), the PORT that it was told."""
    if unit.role == "service":
        return unit.address
    return ", ".join(unit.listens) or (f"PORT={unit.port}" if unit.port and shows_port else "")


def _coloured(state: str) -> str:
    return state if state in _PLAIN else click.style(state, fg=_COLOURS.get(state, "red"))


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.0f} h"


def _detail(unit: UnitStatus) -> str:
    """Why newer code has not replaced it; else its reason, and how it ended the last time, unless that is it."""
    text, last = str(unit.held_back or unit.reason), unit.last_exit
    if unit.debug:
        text = f"{text}, for a debugger"
    if unit.role == "service" or last is None or unit.phase in _SAYS_HOW_IT_EXITED:
        return text
    return f"{text}  (last exit {_duration(last.ago_s)} ago: {last.reason.text})"
