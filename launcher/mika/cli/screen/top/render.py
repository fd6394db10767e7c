"""`mika top` as lines of a terminal: what does not fit is cut, and how much that is, is said. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TypeVar

from mika.cli.language import shown
from mika.cli.screen.colours import QUIET, paint
from mika.cli.screen.states import word
from mika.cli.screen.table import about, coloured, coloured_state, duration, note, state_word
from mika.cli.screen.top.layout import GAP, Cell, Item, Section, fitting, red
from mika.cli.screen.width import cut, width
from mika.cli.spelling import pasteable
from mika.diagnosis.model import seconds
from mika.diagnosis.survey import Queue
from mika.doctor.workflows.ids import short_ids
from mika.doctor.workflows.listing import Row
from mika.machine.usage import Use
from mika.stack.overview import Overview, Part
from mika.status import StackStatus, UnitStatus
from mika.text import plain
from mika.wording import _

T = TypeVar("T")

_WIDEST_NAME, _WIDEST_PORTS, _WIDEST_ID = 24, 24, 36  # columns; a UUID has 36
_NARROW = 40
"""With fewer columns, there is no clock."""
_KEYS = _("q quits")
_LOOPBACK = ("127.0.0.1:", "[::1]:", "localhost:")


def render(overview: Overview, columns: int, rows: int, clock: str = "") -> list[str]:
    """At most `rows` lines, none wider than `columns`. `clock`: the time, for a view that is drawn again and again."""
    status = overview.stack.value
    head = _head(overview.stack, columns, clock)
    if status is None:
        looking = _("still looking; {keys}", keys=_KEYS)
        return [*head, "", cut(shown(looking), columns)][:rows] if clock else head
    sections = [_units(status, overview)]
    if overview.queues is not None:
        sections.append(_queues(overview.queues))
    if overview.workflows is not None:
        sections.append(_workflows(overview.workflows))
    keys = [paint(cut(shown(_KEYS), columns), QUIET)] if clock else []
    return [*head, *fitting(sections, columns, rows - len(head) - len(keys)), *keys][:rows]


# --- what there is ----------------------------------------------------------------------------------------------------


def _head(stack: Part[StackStatus], columns: int, clock: str) -> list[str]:
    """The state of the stack and, if it does not answer, since when."""
    status, clock = stack.value, clock if columns >= _NARROW else ""
    room = columns - (width(clock) + len(GAP) if clock else 0)
    if status is None:
        why = pasteable(shown(stack.problem.text or _("looking")))
        lines = [cut(why, room), cut(pasteable(shown(stack.problem.fix)), columns)]
    else:
        state = cut(word(status.state), room)
        known = shown(_("{stack}, up {time}", stack=about(status), time=duration(status.uptime_s)))
        known = cut(known, room - width(state) - len(GAP))
        lines = [(coloured(state, status.state) + GAP + known).rstrip(), ""]
        if stack.problem:
            lines[1] = red(cut(_stale(stack), columns))
    if clock:
        lines[0] += " " * (columns - width(plain(lines[0])) - width(clock)) + clock
    return [line for line in lines if line]


def _stale(part: Part[T]) -> str:
    """Why nothing newer is known, and how old is what is shown."""
    why = str(part.problem)
    if part.value is not None:
        why = _("{problem}; what is shown is {time} old", problem=why, time=seconds(part.age))
    return pasteable(shown(why))


def _units(status: StackStatus, overview: Overview) -> Section:
    titles = (_("NAME"), _("STATE"), "PID", "CPU", _("MEMORY"), _("RESTARTS"), _("PORTS"))
    items = (_unit(unit, overview.uses.get(unit.name)) for unit in (*status.processes, *status.services))
    numbers = frozenset({"PID", "CPU", "MEMORY", "RESTARTS"})
    return Section(titles, tuple(items), numbers=numbers, can_cut=frozenset({"NAME", "PORTS"}))


def _unit(unit: UnitStatus, use: Use | None) -> Item:
    said = pasteable(note(unit))
    return Item(
        (
            Cell(cut(unit.name, _WIDEST_NAME)),
            Cell(state_word(unit), partial(coloured_state, unit=unit)),
            Cell(str(unit.pid or "")),
            Cell(_percent(use.cpu) if use is not None else ""),
            Cell(_memory(use.memory_mb) if use is not None else ""),
            Cell(str(unit.restarts or "")),
            Cell(cut(_ports(unit), _WIDEST_PORTS)),
        ),
        said,
        unit.is_ok and not said,
    )


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}%" if value < 10 else f"{value:.0f}%"


def _memory(mb: float) -> str:
    return f"{mb:.0f} MB" if mb < 1000 else f"{mb / 1000:.1f} GB"


def _ports(unit: UnitStatus) -> str:
    """Of a process, where it really listens; of a service, where it answers. Loopback is not said."""
    places = unit.listens if unit.role == "process" else (unit.address,) if unit.is_ready else ()
    return ", ".join(place.rpartition(":")[2] if place.startswith(_LOOPBACK) else place for place in places)


def _queues(part: Part[tuple[Queue, ...]]) -> Section:
    items = tuple(
        Item(
            (
                Cell(cut(queue.name, 2 * _WIDEST_NAME)),
                Cell(str(queue.backlog)),
                Cell(shown(seconds(queue.oldest)) if queue.backlog else ""),
                Cell(str(queue.alive), str if queue.alive else red),
            ),
            _waiting(queue),
        )
        for queue in part.value or ()
    )
    return Section(
        (_("QUEUE"), _("BACKLOG"), _("OLDEST"), _("POLLERS")),
        items,
        _words(part, _("no task queue is known")),
        numbers=frozenset({"BACKLOG", "POLLERS"}),
        can_cut=frozenset({"QUEUE"}),
    )


def _waiting(queue: Queue) -> str:
    parts = [shown(_(", ")).join(map(shown, _counted(queue)))]
    if not queue.alive:
        parts.append(shown(_("no worker polls it")))
    return shown(_("; ")).join(filter(None, parts))


def _counted(queue: Queue) -> Iterator[str]:
    if count := queue.workflow_tasks:
        yield _("1 workflow task") if count == 1 else _("{count} workflow tasks", count=count)
    if count := queue.activities:
        yield _("1 activity") if count == 1 else _("{count} activities", count=count)


def _workflows(part: Part[tuple[Row, ...]]) -> Section:
    rows = part.value or ()
    short = short_ids([row.id for row in rows])
    items = tuple(
        Item(
            (
                Cell(cut(short[row.id], _WIDEST_ID)),
                Cell(shown(seconds(row.age))),
                Cell(word(row.status)),
                Cell("" if row.took is None else shown(seconds(row.took))),
                Cell(str(row.attempts or "")),
                Cell(str(row.diagnosis.cause), str if row.ok else red),
            ),
            "" if row.ok else shown(row.diagnosis.finding),
            row.ok,
        )
        for row in rows
    )
    titles = (_("WORKFLOW"), _("AGE"), _("STATE"), _("TOOK"), _("TRIES"), _("CAUSE"))
    return Section(
        titles,
        items,
        _words(part, _("there are none")),
        numbers=frozenset({"TRIES"}),
        can_cut=frozenset({"WORKFLOW"}),
    )


def _words(part: Part[tuple[T, ...]], none: str) -> str:
    if part.problem:
        return _stale(part)
    return "" if part.value else shown(_("looking") if part.value is None else none)
