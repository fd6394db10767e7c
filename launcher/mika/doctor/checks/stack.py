"""Check of the supervisor, and of all its units that no other check is about."""

from __future__ import annotations

from mika.doctor.check import Check, fail, ok, skipped, warn
from mika.doctor.examination import Examination
from mika.doctor.units import not_ok, not_working, unit_check
from mika.errors import MikaError, UsageError
from mika.machine.local import in_thread
from mika.procfile import entries as procfile
from mika.reason import Repair
from mika.status import StackState, StackStatus
from mika.supervisor.sweep import leftovers
from mika.wording import _, listed

_STATES: dict[StackState, str] = {
    "starting": _("starting"),
    "ready": _("ready"),
    "degraded": _("degraded"),
    "stopping": _("stopping"),
}


async def stack(exam: Examination) -> Check:
    status = await exam.supervisor()
    if isinstance(status, MikaError):
        return fail("stack", status.message, status.hint or _("try again in a moment"))
    if status is None:
        left = listed(await in_thread(lambda: leftovers(exam.folder))) if exam.folder.has_leftovers() else ""
        if exam.run is not None or left:
            text = _("a run of mika was killed here and left {processes}", processes=left)
            if not left:
                text = _("a run of mika was killed here and left its state behind")
            return warn("stack", text, "`mika down`", Repair("sweep"))
        return skipped("stack", _("not started by `mika up`"))
    if status.state == "stopping":
        return fail("stack", _("the stack is stopping"), _("wait until it has stopped, then `mika up`"))
    units = await exam.units("stack")
    if unit := not_working(units) or not_ok(units):
        return await unit_check(exam, "stack", unit)
    text = _(
        "{state}, backend {backend}, supervisor pid {pid}",
        state=_STATES[status.state],
        backend=status.backend,
        pid=status.supervisor_pid,
    )
    if exam.config.outdated:
        before = ", ".join(f"{name}={exam.config.text(name)}" for name in exam.config.outdated)
        settings = exam.config.outdated.values()
        now = listed(_("{value} ({origin})", value=s.shown or _("nothing"), origin=s.origin) for s in settings)
        text = _(
            "{text}; it was started with {before}, and a new start would use {now}", text=text, before=before, now=now
        )
    return _unlike_procfile(exam, status, text) or ok("stack", text)


def _unlike_procfile(exam: Examination, status: StackStatus, text: str) -> Check | None:
    """What the running stack and the Procfile as it is now do not both have; None if there is nothing to say."""
    try:
        written = {entry.name for entry in procfile.read(exam.config.project / "Procfile")}
    except UsageError:  # there is none, or the check of the configuration says what is wrong with it
        return None
    running = {unit.type for unit in status.processes}
    fix = _("`mika down`, then `mika up` starts what the Procfile has now")
    if gone := running - written:
        names = listed(sorted(gone))
        return warn("stack", _("{text}; with {names}, which the Procfile no longer has", text=text, names=names), fix)
    if others := written - running:  # `mika up NAME` starts no others, so it may be meant
        names = listed(sorted(others))
        return ok("stack", _("{text}; without {names} of the Procfile: {fix}", text=text, names=names, fix=fix))
    return None
