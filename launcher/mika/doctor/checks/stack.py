"""Check of the supervisor, and of all its units that no other check is about."""

from __future__ import annotations

from mika.doctor.check import Check, fail, ok, skipped, warn
from mika.doctor.examination import Examination
from mika.doctor.units import not_ok, not_working, unit_check
from mika.errors import MikaError
from mika.machine.local import in_thread
from mika.reason import Repair
from mika.supervisor.sweep import leftovers


async def stack(exam: Examination) -> Check:
    status = await exam.supervisor()
    if isinstance(status, MikaError):
        return fail("stack", status.message, status.hint or "try again in a moment")
    if status is None:
        if exam.run is not None or exam.folder.has_leftovers():
            left = ", ".join(await in_thread(lambda: leftovers(exam.folder)))
            text = f"a run of mika was killed here and left {left or 'its state behind'}"
            return warn("stack", text, "`mika down`", Repair("sweep"))
        return skipped("stack", "not started by `mika up`")
    if status.state == "stopping":
        return fail("stack", "the stack is stopping", "wait until it has stopped, then `mika up`")
    units = await exam.units("stack")
    if unit := not_working(units) or not_ok(units):
        return await unit_check(exam, "stack", unit)
    text = f"{status.state}, backend {status.backend}, supervisor pid {status.supervisor_pid}"
    if exam.config.outdated:
        before = ", ".join(f"{name}={exam.config.text(name)}" for name in exam.config.outdated)
        settings = exam.config.outdated.values()
        now = ", ".join(f"{setting.shown or 'nothing'} ({setting.origin})" for setting in settings)
        text += f"; it was started with {before}, and a new start would use {now}"
    return ok("stack", text)
