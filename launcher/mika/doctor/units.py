"""What the doctor says of a unit that the supervisor runs and that is not well."""

from __future__ import annotations

from collections.abc import Iterable

from mika.doctor.check import Check, skipped
from mika.doctor.examination import Examination
from mika.reason import NONE, Reason, Repair
from mika.status import Phase, UnitStatus

_NOT_WORKING = frozenset({Phase.STOPPED, Phase.EXITED, Phase.GAVE_UP, Phase.BACKOFF, Phase.STOPPING})


def not_working(units: Iterable[UnitStatus]) -> UnitStatus | None:
    """The first unit that cannot do its work now: for that, nothing else needs to be measured."""
    return next((unit for unit in units if unit.phase in _NOT_WORKING and not unit.is_done), None)


def not_ok(units: Iterable[UnitStatus]) -> UnitStatus | None:
    return next((unit for unit in units if not unit.is_ok), None)


async def unit_check(exam: Examination, check_id: str, unit: UnitStatus) -> Check:
    """The check for `unit`, which is not well. The stack can be ready without a unit that is not required."""
    reason = reason_of(unit)
    if unit.phase is Phase.WAITING and (cause := await _awaited(exam, check_id)):
        return skipped(check_id, reason.text, cause)
    return Check(check_id, "fail" if unit.required else "warn", reason, unit=unit.name)


async def _awaited(exam: Examination, check_id: str) -> str:
    """The other check that says why something still waits; empty if nothing else is wrong."""
    status = await exam.status()
    units = status.units if status is not None else ()
    causes = (exam.check_of(u) for u in units if u.required and not u.is_ok and u.phase is not Phase.WAITING)
    return next((cause for cause in causes if cause != check_id), "")


def reason_of(unit: UnitStatus) -> Reason:
    """What is wrong with it, and what to do. Its own fix and repair count more than those for its phase."""
    name, own = unit.name, unit.reason
    last = unit.last_exit.reason if unit.last_exit is not None else NONE
    why = own.text or last.text or "no reason is known"
    logs = f"`mika logs {name}` says why"
    start, restart = Repair("start", name), Repair("restart", name)
    match unit.phase:
        case Phase.STOPPED:
            return Reason(f"{name} was stopped", f"`mika start {name}`", start)
        case Phase.STOPPING:
            return Reason(f"{name} is stopping", f"wait until it has stopped, then `mika start {name}`")
        case Phase.EXITED:
            fix = f"{own.fix}; then `mika start {name}`" if own.fix else f"`mika start {name}`; {logs}"
            return Reason(f"{name} has exited: {last.text or why}", fix, own.repair or start)
        case Phase.GAVE_UP:
            fix = f"{own.fix or f'{logs}; fix that'}; then `mika restart {name}`"
            return Reason(f"{name} gave up: {why}", fix, own.repair or restart)
        case Phase.BACKOFF:
            fix = f"{own.fix or f'{logs}; fix that'}; it is started again by itself"
            return Reason(f"{name} keeps exiting: {last.text or why}", fix, own.repair)
        case Phase.WAITING:
            return Reason(f"{name} has not started: {why}", own.fix or "wait for what it needs: `mika wait`")
    if unit.phase is Phase.UNHEALTHY:
        text = f"{name} is unhealthy: {why}"
        if own.fix:
            return Reason(text, own.fix, own.repair)
        if unit.kind == "external":
            return Reason(text, "restart that server, or set TEMPORAL_HOST and TEMPORAL_PORT to another one")
        return Reason(text, f"`mika restart {name}`; {logs}", own.repair or restart)
    wait = "wait for it: `mika wait`"
    if unit.kind != "external":
        wait += f"; if that does not help, {logs}"
    return Reason(f"{name} is starting" + (f": {own.text}" if own else ""), own.fix or wait, own.repair)
