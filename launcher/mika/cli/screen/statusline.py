"""The line at the bottom of `mika up`: what is not ready first, then the rest, workflows, and the key for help."""

from __future__ import annotations

from mika.cli.language import shown
from mika.cli.screen.states import word
from mika.cli.screen.table import state_word
from mika.cli.screen.width import fitted, width
from mika.frozen import frozen
from mika.status import AT_REST, Phase, StackStatus, UnitStatus
from mika.wording import _, listed

_GAP = "  "
_BETWEEN = " | "


@frozen
class Part:
    """One unit: its name, and its state in words."""

    name: str
    words: str
    is_ok: bool
    is_at_rest: bool = False


@frozen
class Bar:
    """`shown` is what the person chose to see (`only worker`); `question` is what the next key answers."""

    parts: tuple[Part, ...] = ()
    is_stopping: bool = False
    workflows: str = ""
    shown: tuple[str, ...] = ()
    question: str = ""
    hint: str = _("? help")


def bar_of(status: StackStatus) -> Bar:
    """Each unit with its state, those with a problem first."""
    parts = tuple(_part(unit) for unit in status.units)
    return Bar(tuple(sorted(parts, key=lambda part: part.is_ok)), is_stopping=status.state == "stopping")


def workflow_words(running: int, failed: int) -> str:
    """`failed`: within the last hour."""
    if failed:
        return shown(_("{running} open, {failed} failed in 1 h", running=running, failed=failed))
    return shown(_("{running} open", running=running))


def render(bar: Bar, columns: int) -> str:
    """The line, in at most so many columns of the terminal."""
    if bar.question:
        return fitted(bar.question, columns)
    hint = shown(bar.hint)
    more = _BETWEEN.join(filter(None, (bar.workflows, *bar.shown, hint)))
    for units in (_all(bar), _short(bar)):
        line = _BETWEEN.join(filter(None, (units, more)))
        if width(line) <= columns:
            return line
    room = columns - width(_BETWEEN + hint)
    return fitted(f"{fitted(line, room)}{_BETWEEN}{hint}" if room > 0 else hint, columns)


def _part(unit: UnitStatus) -> Part:
    words = state_word(unit)
    if unit.restarts:
        times = str(unit.restarts) if unit.phase is Phase.BACKOFF else _times(unit.restarts)
        words = shown(_("{state} ({more})", state=words, more=times))
    return Part(unit.name, words, is_ok=unit.is_ok, is_at_rest=unit.phase in AT_REST)


def _times(restarts: int) -> str:
    return _("1 restart") if restarts == 1 else _("{count} restarts", count=restarts)


def _all(bar: Bar) -> str:
    if bar.is_stopping:
        return _stopping(bar)
    return _GAP.join(f"{part.name} {part.words}" for part in bar.parts)


def _short(bar: Bar) -> str:
    if bar.is_stopping:
        return _stopping(bar)
    ready = sum(part.is_ok for part in bar.parts)
    problems = [f"{part.name} {part.words}" for part in bar.parts if not part.is_ok]
    return _GAP.join([*problems, *([shown(_("{count} ready", count=ready))] if ready else [])])


def _stopping(bar: Bar) -> str:
    left = [part.name for part in bar.parts if not part.is_at_rest]
    return shown(_("stopping: waiting for {names}", names=listed(left))) if left else word("stopping")
