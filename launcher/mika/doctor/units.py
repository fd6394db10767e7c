"""What the doctor says of a unit that the supervisor runs and that is not well."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mika.doctor.check import Check, skipped
from mika.reason import Reason, Repair
from mika.status import Phase, UnitStatus

if TYPE_CHECKING:
    from mika.doctor.examination import Examination

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
    """What is wrong with it, and what to do. Its own fix and repair count more than those of its phase."""
    name, own = unit.name, unit.reason
    why = own.text or (unit.last_exit.reason.text if unit.last_exit is not None else "") or "no reason is known"
    if unit.kind == "external":
        is_starting = unit.phase is Phase.STARTING
        fix = "wait for it: `mika wait`" if is_starting else "restart that server"
        fix += ", or correct its address (`mika config` shows where it is set)"
        return Reason(f"{name} is {unit.phase}: {why}", own.fix or fix, own.repair)
    logs = f"`mika logs {name}` says why"
    cure = own.fix or f"{logs}; fix that"
    start, restart = Repair("start", name), Repair("restart", name)
    wait = f"wait for it: `mika wait`; if that does not help, {logs}"
    text, fix, repair = {
        Phase.STOPPED: ("was stopped", f"`mika start {name}`", start),
        Phase.STOPPING: ("is stopping", f"wait until it has stopped, then `mika start {name}`", None),
        Phase.EXITED: (f"has exited: {why}", f"{cure}; then `mika start {name}`", start),
        Phase.GAVE_UP: (f"gave up: {why}", f"{cure}; then `mika restart {name}`", restart),
        Phase.BACKOFF: (f"keeps exiting: {why}", f"{cure}; it is started again by itself", None),
        Phase.WAITING: (f"has not started: {why}", own.fix or "wait for what it needs: `mika wait`", None),
        Phase.STARTING: (f"is starting: {own.text or 'not ready yet'}", own.fix or wait, None),
        Phase.UNHEALTHY: (
            f"is unhealthy: {why}",
            own.fix or f"`mika restart {name}`; {logs}",
            None if own.fix else restart,
        ),
    }[unit.phase]
    return Reason(f"{name} {text}", fix, own.repair or repair)
