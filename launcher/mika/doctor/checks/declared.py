"""What `[temporal]` and `[schedule.NAME]` declare, against what the server has."""

from __future__ import annotations

from mika.address import join
from mika.declared.drift import Server, differences, groups
from mika.declared.record import Record
from mika.doctor.check import Check, ok, skipped, warn
from mika.doctor.checks.server import needs_server
from mika.doctor.examination import Examination

_SHOWN = 3


async def declared(exam: Examination) -> Check:
    wanted, record = exam.config.declared, Record(exam.folder, exam.backend)
    if not wanted and not record.made:
        return skipped("declared", "nothing is declared: no [temporal] and no [schedule.NAME] in mika.toml")
    if skip := await needs_server(exam, "declared"):
        return skip
    server = Server(await exam.temporal(), join(exam.host, exam.port), is_ours=exam.backend != "external")
    if found := await differences(server, wanted, record):
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        return warn("declared", "; ".join(reason.text for reason in found[:_SHOWN]) + more, found[0].fix)
    counts = [(len(group.items), group.kind.noun) for group in groups(wanted)]
    return ok("declared", ", ".join(f"{count} {noun}{'s' if count > 1 else ''}" for count, noun in counts) or "nothing")
