"""Make what is declared, between "Temporal is usable" and "processes start": further rungs of Temporal's ladder.

So a process that needs Temporal starts when all of it can be used, a reason for waiting is shown like any other, and a
server that was restarted is checked again. What mika did not make is not changed, and nothing is ever deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from mika.config.declared import Declared
from mika.declared.drift import SCHEDULES, AnyGroup, RefusedError, Server, differences, groups
from mika.declared.record import Key, Record
from mika.errors import MikaError, describe
from mika.readiness.ladder import NotYet, Rung
from mika.readiness.login import preload
from mika.readiness.temporal import TemporalProbe
from mika.reason import Reason
from mika.supervisor.unit import Launch, Unit
from mika.supervisor.watch import Liveness
from mika.wording import _, listed

_ATTEMPT_SECONDS = 10.0  # one attempt is several calls for each thing
_PAUSE_SECONDS = 3.0


class Declaring:
    """`say` shows a difference that stays. `refuse` is called when waiting is of no use: the server says no. It returns
    whether the stack stops for that: then nothing more is asked of a server that may go at any moment.

    On a server that is not ours (`is_ours`), things are only compared.
    """

    def __init__(
        self,
        declared: Declared,
        probe: TemporalProbe,
        record: Record,
        *,
        is_ours: bool,
        say: Callable[[str], None],
        refuse: Callable[[MikaError], bool],
    ) -> None:
        self._declared, self._probe, self._record = declared, probe, record
        self._is_ours, self._say, self._refuse = is_ours, say, refuse
        self._unproved: set[Key] = set()
        self._said: set[Reason] = set()
        self._has_schedules = False
        self._last_word: RefusedError | None = None

    def add_to(self, units: Sequence[Unit]) -> list[Unit]:
        """The same units; Temporal is ready only when it has what is declared."""
        return [self._extended(unit) if _is_temporal(unit) else unit for unit in units]

    def _extended(self, unit: Unit) -> Unit:
        def probes(launch: Launch) -> tuple[list[Rung], Liveness | None]:
            rungs, liveness = unit.probes(launch)
            return self._rungs(rungs), liveness

        return replace(unit, probes=probes)

    def _rungs(self, rungs: Sequence[Rung]) -> list[Rung]:
        if not self._is_ours:
            return [*rungs, Rung(_("compared with what is declared"), self._compare, _ATTEMPT_SECONDS)]
        own = [
            Rung(_("declared {kind}s", kind=group.kind.noun), partial(self._make, group), _ATTEMPT_SECONDS)
            for group in groups(self._declared)
        ]
        if not self._declared.namespaces:
            return [*rungs, *own]
        # The namespace that the stack itself uses may be one of them, and a later rung waits for that.
        names = [rung.name for rung in rungs]
        at = names.index(self._probe.namespace_rung)
        return [*rungs[:at], own[0], *rungs[at:], *own[1:]]

    async def _make(self, group: AnyGroup) -> str:
        if self._last_word is not None:
            raise self._last_word
        server = await self._server()
        if group.kind is SCHEDULES:
            await asyncio.to_thread(preload, "temporalio.client")  # half a second, in which nothing else could happen
        try:
            for reason in await group.ensure(server, self._record, self._unproved):
                self._say_once(reason)
        except RefusedError as error:
            if self._refuse(MikaError(error.reason.text, error.reason.fix, code="declared")):
                self._last_word = error
            raise
        await group.prove(server.temporal, self._unproved)
        self._has_schedules |= group.kind is SCHEDULES
        return self._probe.detail

    async def _compare(self) -> str:
        """Never fails: what is missing is not for mika to make, and perhaps nobody needs it now."""
        from temporalio.service import RPCError

        try:
            for reason in await differences(await self._server(), self._declared, self._record):
                self._say_once(reason)
        except (NotYet, RPCError, RuntimeError) as error:
            text = _("the server could not be compared with what is declared: {error}", error=describe(error))
            self._say_once(Reason(text))
        return self._probe.detail

    async def pause(self) -> None:
        """Pause the schedules that mika has made, before the workers stop. Takes a few seconds at most."""
        recorded = self._record.made
        ours = [s for s in self._declared.schedules if (SCHEDULES.noun, s.namespace, s.name) in recorded]
        if not (self._has_schedules and ours):
            return
        from temporalio.service import RPCError

        try:
            async with asyncio.timeout(_PAUSE_SECONDS):
                temporal = await self._probe.temporal()
                pauses = [SCHEDULES.pause(temporal.in_namespace(item.namespace), item.name) for item in ours]
                await asyncio.gather(*pauses)
        except (NotYet, RPCError, RuntimeError, TimeoutError) as error:
            names = listed(item.name for item in ours)
            reason = _("no answer") if isinstance(error, TimeoutError) else describe(error)
            self._say(_("the schedules ({names}) are perhaps not paused: {reason}", names=names, reason=reason))

    async def _server(self) -> Server:
        return Server(await self._probe.temporal(), self._probe.address, self._is_ours)

    def _say_once(self, reason: Reason) -> None:
        if reason not in self._said:
            self._said.add(reason)
            self._say(str(reason))


def _is_temporal(unit: Unit) -> bool:
    return unit.role == "service" and unit.type == "temporal"
