"""Start a worker so that it keeps the code that it was started with; see `hook/mika_keep.py`."""

from __future__ import annotations

from dataclasses import replace

from mika.replay.check import may_be_worker
from mika.replay.program import with_hook
from mika.supervisor.guard import ServiceSpec
from mika.supervisor.unit import Launch, Unit


def keeping_its_code(unit: Unit) -> Unit:
    """The same unit; a worker whose new code is checked is not touched by what is saved before that."""
    plain = unit.spec
    if plain is None or unit not in may_be_worker([unit]):
        return unit

    def spec(launch: Launch) -> ServiceSpec:
        made = plain(launch)
        return replace(made, env=with_hook(made.env, MIKA_KEEP="1"))

    return replace(unit, spec=spec)
