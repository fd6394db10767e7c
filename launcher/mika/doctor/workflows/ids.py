"""Short ids: which part of an id names one workflow, and which workflow a part names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mika.diagnosis.temporal import literal
from mika.doctor.examination import Examination
from mika.errors import MikaError
from mika.wording import _, listed

SHORTEST = 8
"""Characters of a part; what is shorter may only be the beginning of an id."""
_LOOKED_AT = 1000
"""Of the newest workflows, those whose ids are searched for a part."""
_RANDOM = re.compile(r"[0-9a-f](?:-?[0-9a-f]){15,}", re.IGNORECASE)
"""The random part of an id: a UUID, or at least 16 hexadecimal digits."""


def short_ids(ids: Sequence[str]) -> dict[str, str]:
    """For each id the beginning of its random part, as long as needed to be in no other of them; else the whole id."""
    return {each: _part(each, [other for other in ids if other != each]) for each in ids}


def _part(id_: str, others: Sequence[str]) -> str:
    found = _RANDOM.search(id_)
    if found is None:
        return id_
    random = found[0]
    for length in range(SHORTEST, len(random) + 1):
        if not any(random[:length] in other for other in others):
            return random[:length]
    return id_


async def id_of(exam: Examination, part: str, namespace: str = "") -> str | None:
    """The only id that begins with `part`, or else that has it somewhere; None if there is none.

    Raises MikaError for several.
    """
    from temporalio.service import RPCError

    temporal = (await exam.temporal()).in_namespace(namespace or exam.namespace)
    try:
        infos = await temporal.workflows(f"WorkflowId STARTS_WITH {literal(part)}", 20)
    except RPCError:  # servers before 1.23 do not know STARTS_WITH
        infos = []
    ids = {str(info.execution.workflow_id) for info in infos}
    if not ids:
        newest = {str(info.execution.workflow_id) for info in await temporal.workflows(most=_LOOKED_AT)}
        ids = {each for each in newest if each.startswith(part)}
        if not ids and len(part) >= SHORTEST:
            ids = {each for each in newest if part in each}
    if len(ids) > 1:
        examples = listed([*sorted(ids)[:3], *(["..."] if len(ids) > 3 else [])])
        raise MikaError(
            _(
                "{count} workflows have {part!r} in their ids: {examples}",
                count=len(ids),
                part=part,
                examples=examples,
            ),
            _("give more of it"),
            code="ambiguous",
        )
    return next(iter(ids), None)
