"""Check of the supervisor, and of all its units that no other check is about."""

from __future__ import annotations

from mika.doctor.check import Check, fail, ok, skipped, warn
from mika.doctor.examination import Examination
from mika.doctor.units import not_ok, not_working, unit_check
from mika.errors import MikaError
from mika.machine.local import in_thread
from mika.reason import Repair
from mika.status import StackState
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
    return ok("stack", text)
