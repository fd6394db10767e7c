"""Start a worker so that it can be replaced: see `hook/mika_keep.py` and `hook/mika_leave.py`."""

from __future__ import annotations

from dataclasses import replace

from mika.replay.check import polls_a_queue
from mika.replay.program import with_hook
from mika.supervisor.guard import ServiceSpec
from mika.supervisor.unit import Launch, Unit


def as_watched(unit: Unit) -> Unit:
    """The same unit. A worker ends without delay; if new code is checked, it is not touched by what is saved before."""
    plain = unit.spec
    if plain is None or not polls_a_queue(unit):
        return unit
    more = {"MIKA_LEAVE": "1"} | ({"MIKA_KEEP": "1"} if unit.check else {})

    def spec(launch: Launch) -> ServiceSpec:
        made = plain(launch)
        return replace(made, env=with_hook(made.env, **more))

    return replace(unit, spec=spec)
