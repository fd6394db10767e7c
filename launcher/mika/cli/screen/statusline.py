"""The line at the bottom of `mika up`: what is not ready first, then the rest, workflows, and the key for help."""

from __future__ import annotations

from dataclasses import dataclass

from mika.cli.screen.table import state_word
from mika.cli.screen.width import fitted, width
from mika.status import Phase, StackStatus, UnitStatus

_GAP = "  "
_BETWEEN = " | "


@dataclass(frozen=True, slots=True)
class Part:
    """One unit: its name, and its state in words."""

    name: str
    words: str
    is_ok: bool


@dataclass(frozen=True, slots=True)
class Bar:
    """`shown` is what the person chose to see (`only worker`); `question` is what the next key answers."""

    parts: tuple[Part, ...] = ()
    is_stopping: bool = False
    workflows: str = ""
    shown: tuple[str, ...] = ()
    question: str = ""
    hint: str = "? help"


def bar_of(status: StackStatus) -> Bar:
    """Each unit with its state, those with a problem first."""
    parts = tuple(_part(unit) for unit in status.units)
    return Bar(tuple(sorted(parts, key=lambda part: part.is_ok)), is_stopping=status.state == "stopping")


def workflow_words(running: int, failed: int) -> str:
    """`failed`: within the last hour."""
    words = f"{running} open"
    return f"{words}, {failed} failed in 1 h" if failed else words


def render(bar: Bar, columns: int) -> str:
    """The line, in at most so many columns of the terminal."""
    if bar.question:
        return fitted(bar.question, columns)
    more = _BETWEEN.join(filter(None, (bar.workflows, *bar.shown, bar.hint)))
    for units in (_all(bar), _short(bar)):
        line = _BETWEEN.join(filter(None, (units, more)))
        if width(line) <= columns:
            return line
    room = columns - width(_BETWEEN + bar.hint)
    return fitted(f"{fitted(line, room)}{_BETWEEN}{bar.hint}" if room > 0 else bar.hint, columns)


def _part(unit: UnitStatus) -> Part:
    words = state_word(unit)
    if unit.restarts:
        words += f" ({unit.restarts})" if unit.phase is Phase.BACKOFF else f" ({_times(unit.restarts)})"
    return Part(unit.name, words, is_ok=unit.is_ok)


def _times(restarts: int) -> str:
    return "1 restart" if restarts == 1 else f"{restarts} restarts"


def _all(bar: Bar) -> str:
    if bar.is_stopping:
        return _stopping(bar)
    return _GAP.join(f"{part.name} {part.words}" for part in bar.parts)


def _short(bar: Bar) -> str:
    if bar.is_stopping:
        return _stopping(bar)
    ready = sum(part.is_ok for part in bar.parts)
    problems = [f"{part.name} {part.words}" for part in bar.parts if not part.is_ok]
    return _GAP.join([*problems, *([f"{ready} ready"] if ready else [])])


def _stopping(bar: Bar) -> str:
    left = [part.name for part in bar.parts if part.words not in ("stopped", "exited", "gave up")]
    return f"stopping: waiting for {', '.join(left)}" if left else "stopping"
