"""`mika top` as lines of a terminal: what does not fit is cut, and how much that is, is said. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from mika.cli.screen.colours import QUIET, paint
from mika.cli.screen.table import coloured, duration, note, state_word
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

T = TypeVar("T")

_WIDEST_NAME, _WIDEST_PORTS, _WIDEST_ID = 24, 24, 36  # columns; a UUID has 36
_NARROW = 40
"""With fewer columns, there is no clock."""
_KEYS = "q quits"
_LOOPBACK = ("127.0.0.1:", "[::1]:", "localhost:")


def render(overview: Overview, columns: int, rows: int, clock: str = "") -> list[str]:
    """At most `rows` lines, none wider than `columns`. `clock`: the time, for a view that is drawn again and again."""
    status = overview.stack.value
    head = _head(overview.stack, columns, clock)
    if status is None:
        return [*head, "", cut(f"still looking; {_KEYS}", columns)][:rows] if clock else head
    sections = [_units(status, overview)]
    if overview.queues is not None:
        sections.append(_queues(overview.queues))
    if overview.workflows is not None:
        sections.append(_workflows(overview.workflows))
    keys = [paint(cut(_KEYS, columns), QUIET)] if clock else []
    return [*head, *fitting(sections, columns, rows - len(head) - len(keys)), *keys][:rows]


# --- what there is ----------------------------------------------------------------------------------------------------


def _head(stack: Part[StackStatus], columns: int, clock: str) -> list[str]:
    """The state of the stack and, if it does not answer, since when."""
    status, clock = stack.value, clock if columns >= _NARROW else ""
    room = columns - (width(clock) + len(GAP) if clock else 0)
    if status is None:
        lines = [cut(pasteable(stack.problem.text) or "looking", room), cut(pasteable(stack.problem.fix), columns)]
    else:
        about = f"backend {status.backend}, supervisor pid {status.supervisor_pid}, up {duration(status.uptime_s)}"
        state = cut(status.state, room)
        lines = [(coloured(state) + GAP + cut(about, room - width(state) - len(GAP))).rstrip(), ""]
        if stack.problem:
            lines[1] = red(cut(_stale(stack), columns))
    if clock:
        lines[0] += " " * (columns - width(plain(lines[0])) - width(clock)) + clock
    return [line for line in lines if line]


def _stale(part: Part[T]) -> str:
    """Why nothing newer is known, and how old is what is shown."""
    known = f"; what is shown is {seconds(part.age)} old" if part.value is not None else ""
    return f"{pasteable(str(part.problem))}{known}"


def _units(status: StackStatus, overview: Overview) -> Section:
    titles = ("NAME", "STATE", "PID", "CPU", "MEMORY", "RESTARTS", "PORTS")
    items = (_unit(unit, overview.uses.get(unit.name)) for unit in (*status.processes, *status.services))
    numbers = frozenset({"PID", "CPU", "MEMORY", "RESTARTS"})
    return Section(titles, tuple(items), numbers=numbers, can_cut=frozenset({"NAME", "PORTS"}))


def _unit(unit: UnitStatus, use: Use | None) -> Item:
    said = pasteable(note(unit))
    return Item(
        (
            Cell(cut(unit.name, _WIDEST_NAME)),
            Cell(state_word(unit), coloured),
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
                Cell(seconds(queue.oldest) if queue.backlog else ""),
                Cell(str(queue.alive), str if queue.alive else red),
            ),
            _waiting(queue),
        )
        for queue in part.value or ()
    )
    return Section(
        ("QUEUE", "BACKLOG", "OLDEST", "POLLERS"),
        items,
        _words(part, "no task queue is known"),
        numbers=frozenset({"BACKLOG", "POLLERS"}),
        can_cut=frozenset({"QUEUE"}),
    )


def _waiting(queue: Queue) -> str:
    told = [f"{count} {name}" for count, name in _counted(queue) if count]
    return "; ".join([*([", ".join(told)] if told else []), *([] if queue.alive else ["no worker polls it"])])


def _counted(queue: Queue) -> Iterable[tuple[int, str]]:
    yield queue.workflow_tasks, "workflow task" if queue.workflow_tasks == 1 else "workflow tasks"
    yield queue.activities, "activity" if queue.activities == 1 else "activities"


def _workflows(part: Part[tuple[Row, ...]]) -> Section:
    rows = part.value or ()
    short = short_ids([row.id for row in rows])
    items = tuple(
        Item(
            (
                Cell(cut(short[row.id], _WIDEST_ID)),
                Cell(seconds(row.age)),
                Cell(row.status.replace("_", " ")),
                Cell("" if row.took is None else seconds(row.took)),
                Cell(str(row.attempts or "")),
                Cell(str(row.diagnosis.cause), str if row.ok else red),
            ),
            "" if row.ok else row.diagnosis.finding,
            row.ok,
        )
        for row in rows
    )
    titles = ("WORKFLOW", "AGE", "STATE", "TOOK", "TRIES", "CAUSE")
    return Section(
        titles,
        items,
        _words(part, "there are none"),
        numbers=frozenset({"TRIES"}),
        can_cut=frozenset({"WORKFLOW"}),
    )


def _words(part: Part[tuple[T, ...]], none: str) -> str:
    if part.problem:
        return _stale(part)
    return "" if part.value else "looking" if part.value is None else none
