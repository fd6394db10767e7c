"""What the doctor says of a unit that the supervisor runs and that is not well."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mika.doctor.check import Check, skipped
from mika.reason import Reason, Repair
from mika.status import IN_WORDS, Phase, UnitStatus
from mika.wording import _

if TYPE_CHECKING:
    from mika.doctor.examination import Examination

_NOT_WORKING = frozenset({Phase.STOPPED, Phase.EXITED, Phase.GAVE_UP, Phase.BACKOFF, Phase.STOPPING})


def not_working(units: Iterable[UnitStatus]) -> UnitStatus | None:
    """The first unit that cannot do its work now: for that, nothing else needs to be measured."""
    return next((unit for unit in units if unit.phase in _NOT_WORKING and not unit.is_done), None)


def not_ok(units: Iterable[UnitStatus]) -> UnitStatus | None:
    """The first unit that is not well: also one that is ready for a moment, between two of its failures."""
    return next((unit for unit in units if not unit.is_ok or unit.failing), None)


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
    why = own.text or (unit.last_exit.reason.text if unit.last_exit is not None else "") or _("no reason is known")
    if unit.kind == "external":
        return _of_external(unit, why)
    if unit.failing and unit.phase in (Phase.READY, Phase.STARTING):
        return Reason(
            _("{name} keeps exiting: {reason}", name=name, reason=unit.failing.text),
            _("{cure}; it is started again by itself", cure=unit.failing.fix),
        )
    logs = _("`mika logs {name}` may say why", name=name)
    cure = own.fix or _("{logs}; fix that", logs=logs)
    start, restart = Repair("start", name), Repair("restart", name)
    wait = _("wait for it: `mika wait`; if that does not help, {logs}", logs=logs)
    text, fix, repair = {
        Phase.STOPPED: (_("{name} was stopped", name=name), f"`mika start {name}`", start),
        Phase.STOPPING: (
            _("{name} is stopping", name=name),
            _("wait until it has stopped, then `mika start {name}`", name=name),
            None,
        ),
        Phase.EXITED: (
            _("{name} has exited: {reason}", name=name, reason=why),
            _("{cure}; then `mika start {name}`", cure=cure, name=name),
            start,
        ),
        Phase.GAVE_UP: (
            _("{name} gave up: {reason}", name=name, reason=why),
            _("{cure}; then `mika restart {name}`", cure=cure, name=name),
            restart,
        ),
        Phase.BACKOFF: (
            _("{name} keeps exiting: {reason}", name=name, reason=why),
            _("{cure}; it is started again by itself", cure=cure),
            None,
        ),
        Phase.WAITING: (
            _("{name} has not started: {reason}", name=name, reason=why),
            own.fix or _("wait for what it needs: `mika wait`"),
            None,
        ),
        Phase.STARTING: (
            _("{name} is starting: {reason}", name=name, reason=own.text or _("not ready yet")),
            own.fix or wait,
            None,
        ),
        Phase.UNHEALTHY: (
            _("{name} is unhealthy: {reason}", name=name, reason=why),
            own.fix or _("`mika restart {name}`; {logs}", name=name, logs=logs),
            None if own.fix else restart,
        ),
    }[unit.phase]
    return Reason(text, fix, own.repair or repair)


def _of_external(unit: UnitStatus, why: str) -> Reason:
    """The same for a server that is not ours."""
    restart = _("restart that server, or correct its address (`mika config` shows where it is set)")
    match unit.phase:
        case Phase.STARTING:
            text, fix = (
                _("{name} is starting: {reason}", name=unit.name, reason=why),
                _("wait for it: `mika wait`, or correct its address (`mika config` shows where it is set)"),
            )
        case Phase.UNHEALTHY:
            text, fix = _("{name} is unhealthy: {reason}", name=unit.name, reason=why), restart
        case phase:
            text, fix = _("{name} is {phase}: {reason}", name=unit.name, phase=IN_WORDS[phase], reason=why), restart
    return Reason(text, unit.reason.fix or fix, unit.reason.repair)
