"""The status of a stack as a table for people, in 80 columns; what a state is due to stands on a line of its own."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from mika.cli.language import shown
from mika.cli.screen.colours import BAD, GOOD, WAITING, paint
from mika.cli.screen.states import word
from mika.cli.screen.width import pad, width, wrapped
from mika.status import AT_REST, Phase, StackStatus, UnitStatus
from mika.wording import _

_COLOURS = {"ready": GOOD, "starting": WAITING, "waiting": WAITING, "restarting": WAITING, "stopping": WAITING}
_PLAIN = ("stopped", "exited")
_SAYS_HOW_IT_EXITED = (*AT_REST, Phase.BACKOFF)
"""In these phases, the reason of a unit is its last exit."""
_RECENT = 3600.0
"""A last exit is told for so many seconds; `mika describe` always tells it."""
_NARROWEST = 40
_INDENT = "    "
_WIDEST_NAME = 24
"""Columns; on a terminal, a longer name goes on in the next line."""


def render(status: StackStatus) -> str:
    units = status.units
    addresses = [address(unit, status) for unit in units]
    rows = [
        [
            _name_lines(unit.name),
            [state_word(unit)],
            _address_lines(where),
            [duration(unit.uptime_s)],
            [_restarts(unit)],
        ]
        for unit, where in zip(units, addresses, strict=True)
    ]
    head = list(map(shown, (_("NAME"), _("STATE"), _("ADDRESS"), _("UP"), _("RESTARTS"))))
    columns = zip(*([[title] for title in head], *rows), strict=True)
    widths = [max(width(line) for cell in column for line in cell) for column in columns]
    lines = [_line(head, widths)]
    for unit, row in zip(units, rows, strict=True):
        lines += [_line(cells, widths, _state(unit)) for cells in zip_longest(*row, fillvalue="")]
        lines += _indented(note(unit))
    told = set(addresses)
    others = [f"{name.replace('_', ' ')}: {url}" for name, url in status.urls.items() if url not in told]
    notes = [shown(text) for text in (*map(str, status.concerns), status.left_out) if text]
    blocks = [[_head(status)], lines, others, notes]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def state_word(unit: UnitStatus) -> str:
    """Its state in a word for people: what failed and is about to be started again is `restarting`."""
    return word(_state(unit))


def _state(unit: UnitStatus) -> str:
    return "restarting" if unit.phase is Phase.BACKOFF else unit.state


def coloured(text: str, state: str) -> str:
    """`text` in the colour of this state."""
    return text if state in _PLAIN else paint(text, _COLOURS.get(state, BAD))


def coloured_state(text: str, unit: UnitStatus) -> str:
    """`text` in the colour of the unit's state."""
    return coloured(text, _state(unit))


def address(unit: UnitStatus, status: StackStatus) -> str:
    """Something to open where there is a URL; else where it listens, what it polls, or the PORT that it was told."""
    if url := status.urls.get(unit.name.replace("-", "_")):
        return url
    if unit.role == "service":
        return unit.address
    # With Temporal, the processes are told where to listen by other variables, too.
    if unit.listens:
        return ", ".join(unit.listens)
    if unit.address.startswith("worker:"):
        return shown(unit.reason.text) if unit.is_ready else ""
    return f"PORT={unit.port}" if unit.port and status.backend == "none" else ""


def duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 100:
        return shown(_("{value:.0f} s", value=seconds))
    if seconds < 6000:
        return shown(_("{value:.0f} min", value=seconds / 60))
    return shown(_("{value:.0f} h", value=seconds / 3600))


def note(unit: UnitStatus) -> str:
    """Why it is not ready, why newer code has not replaced it, and how it ended the last time; empty if all is well."""
    parts = []
    if unit.held_back or not unit.is_ready:
        parts.append(str(unit.held_back or unit.reason))
    if unit.failing and unit.is_ready:
        parts.append(str(unit.failing))
    if unit.debug:
        parts.append(_("runs for a debugger, which may hold it"))
    last = unit.last_exit
    is_told = unit.failing or unit.phase in _SAYS_HOW_IT_EXITED
    if unit.role == "process" and last is not None and not is_told and last.ago_s < _RECENT:
        parts.append(_("last exit {time} ago: {reason}", time=duration(last.ago_s), reason=last.reason.text))
    return shown(_("; ")).join(shown(part) for part in parts if part)


def _head(status: StackStatus) -> str:
    known = about(status)
    if status.uptime_s >= 1:
        known = _("{stack}, up {time}", stack=known, time=duration(status.uptime_s))
    return f"{coloured(word(status.state), status.state)}  {shown(known)}"


def about(status: StackStatus) -> str:
    """How the stack runs."""
    return _("backend {backend}, supervisor pid {pid}", backend=status.backend, pid=status.supervisor_pid)


def _restarts(unit: UnitStatus) -> str:
    return str(unit.restarts or "")


def _name_lines(name: str) -> list[str]:
    if width(name) <= _WIDEST_NAME or not sys.stdout.isatty():
        return [name]
    from rich.cells import chop_cells

    return chop_cells(name, _WIDEST_NAME)


def _address_lines(text: str) -> list[str]:
    """A process may listen on many ports."""
    parts = text.split(", ")
    return [f"{part}," for part in parts[:-1]] + parts[-1:] if sys.stdout.isatty() else [text]


def _line(row: Sequence[str], widths: Sequence[int], state: str = "") -> str:
    """`state`: that of a unit; the line of the titles has none."""
    cells = [pad(cell, columns) for cell, columns in zip(row, widths, strict=True)]
    if state and row[1]:
        cells[1] = coloured(row[1], state) + cells[1].removeprefix(row[1])
    return "  ".join(cells).rstrip()


def _indented(text: str) -> Iterator[str]:
    """Below its unit; on a terminal in as many lines as it needs, elsewhere in one, for `grep`."""
    if not sys.stdout.isatty():
        yield from (f"{_INDENT}{line}" for line in text.splitlines())
        return
    columns = max(_NARROWEST, shutil.get_terminal_size().columns)
    for line in text.splitlines():
        yield from (f"{_INDENT}{part}" for part in wrapped(line, columns - width(_INDENT)) if part)
