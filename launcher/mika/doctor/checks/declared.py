"""What `[temporal]` and `[schedule.NAME]` declare, against what the server has."""

from __future__ import annotations

from functools import reduce

from mika.address import join
from mika.declared.drift import AnyGroup, Server, differences, groups
from mika.declared.record import Record
from mika.doctor.check import Check, ok, skipped, warn
from mika.doctor.checks.server import needs_server
from mika.doctor.examination import Examination
from mika.wording import _, joined

_SHOWN = 3


async def declared(exam: Examination) -> Check:
    wanted, record = exam.config.declared, Record(exam.folder, exam.backend)
    if not wanted and not record.made:
        return skipped("declared", _("nothing is declared: no [temporal] and no [schedule.NAME] in mika.toml"))
    if skip := await needs_server(exam, "declared"):
        return skip
    server = Server(await exam.temporal(), join(exam.host, exam.port), is_ours=exam.backend != "external")
    if found := await differences(server, wanted, record):
        text = reduce(lambda some, more: _("{some}; {more}", some=some, more=more), (r.text for r in found[:_SHOWN]))
        if len(found) > _SHOWN:
            text = _("{some}; and {count} more", some=text, count=len(found) - _SHOWN)
        return warn("declared", text, found[0].fix)
    return ok("declared", joined(_(", "), map(_count, groups(wanted))) or _("nothing"))


def _count(group: AnyGroup) -> str:
    count, noun = len(group.items), group.kind.noun
    return _("{count} {noun}", count=count, noun=noun) if count < 2 else _("{count} {noun}s", count=count, noun=noun)
