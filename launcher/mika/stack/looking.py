"""Look at a running stack again and again, for a view of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

from mika.config.load import Config
from mika.control.client import Client
from mika.diagnosis.survey import Queue
from mika.diagnosis.temporal import CallError, call_error
from mika.doctor.examination import Examination
from mika.doctor.workers import look_at_queues
from mika.doctor.workflows.following import Following
from mika.doctor.workflows.listing import Row
from mika.doctor.workflows.story import connect
from mika.errors import MikaError, NotRunningError, describe
from mika.machine.local import in_thread
from mika.machine.usage import Usage, Use
from mika.project.folder import ProjectDir
from mika.reason import NONE, Reason
from mika.stack.overview import Overview, Part
from mika.status import StackStatus
from mika.wording import _

T = TypeVar("T")

_SOON, _INTERVAL = 1.0, 2.0
"""Seconds between two looks: at a stack that is not ready, and at everything else."""
_LATE, _SHARE = 3.0, 0.02
"""With many processes, a look costs so much that it is taken later: at most this share of a core goes into it."""
_LIMIT, _CONNECT_LIMIT = 5.0, 10.0
"""Seconds for one look, and for the first one at a server, which is asked in layers."""
_SAMPLE = 0.5
"""Seconds between the two looks that the use of the CPU needs, where only one view is wanted."""
_SILENT = (CallError.TIMEOUT, CallError.UNREACHABLE)


class _Kept(Generic[T]):
    """The last answer of one part."""

    def __init__(self) -> None:
        self.value: T | None = None
        self.problem = NONE
        self._at = 0.0

    async def look(self, find: Callable[[], Awaitable[T]], limit: float = _LIMIT) -> None:
        """Never raises: what went wrong is the part's problem, until the next answer."""
        try:
            async with asyncio.timeout(limit):
                self.value = await find()
        except Exception as error:  # noqa: BLE001 - the view goes on
            self.problem = _problem(error)
        else:
            self.problem, self._at = NONE, time.monotonic()

    def forget(self, problem: Reason = NONE) -> None:
        self.value, self.problem = None, problem

    def part(self) -> Part[T]:
        return Part(self.value, time.monotonic() - self._at, self.problem)


class Looking:
    """`run` looks until it is cancelled, also while no stack runs; `overview` is what is known by now."""

    def __init__(self, folder: ProjectDir, config: Callable[[], Config], *, workflows: int) -> None:
        """`config`: how the stack was started, which may raise UsageError. `workflows`: how many of the latest."""
        self._folder, self._config, self._count = folder, config, workflows
        self._client, self._usage = Client(folder), Usage()
        self._stack, self._queues, self._workflows = (
            _Kept[StackStatus](),
            _Kept[tuple[Queue, ...]](),
            _Kept[tuple[Row, ...]](),
        )
        self._uses: Mapping[str, Use] = {}
        self._following = Following()
        self._run_id = ""
        self._exam: Examination | None = None
        self._exits = contextlib.AsyncExitStack()
        self.changed = asyncio.Event()
        """Set after each look."""

    def overview(self) -> Overview:
        stack = self._stack.part()
        has_temporal = stack.value is not None and (
            self._exam.wants_temporal if self._exam is not None else stack.value.backend != "none"
        )
        return Overview(
            stack=stack,
            uses=self._uses,
            queues=self._queues.part() if has_temporal else None,
            workflows=self._workflows.part() if has_temporal else None,
        )

    async def once(self) -> Overview:
        """One look at everything."""

        async def again() -> None:
            await asyncio.sleep(_SAMPLE)
            await self._look_at_stack()

        await self._look_at_stack()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(again())
            tasks.create_task(self._look_at_temporal())
        await self._exits.aclose()
        return self.overview()

    async def run(self) -> None:
        async with self._exits, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_stack())
            tasks.create_task(self._follow_temporal())

    async def _follow_stack(self) -> None:
        while True:
            began = time.monotonic()
            await self._look_at_stack()
            status, took = self._stack.value, time.monotonic() - began
            soon = _INTERVAL if status is not None and status.state == "ready" else _SOON
            await asyncio.sleep(min(_LATE, max(soon, took / _SHARE)))

    async def _follow_temporal(self) -> None:
        while True:
            await self._look_at_temporal()
            await asyncio.sleep(_INTERVAL)

    # --- the parts ---------------------------------------------------------------------------------------------------

    async def _look_at_stack(self) -> None:
        await self._stack.look(self._status)
        status = self._stack.value
        roots = {unit.name: unit.pid for unit in status.units if unit.pid} if status is not None else {}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LIMIT):
                self._uses = await in_thread(lambda: self._usage.look(roots))
        self.changed.set()

    async def _status(self) -> StackStatus:
        try:
            return await in_thread(self._client.status)
        except NotRunningError:
            self._stack.forget()
            raise

    async def _look_at_temporal(self) -> None:
        await self._ask_temporal()
        self.changed.set()

    async def _ask_temporal(self) -> None:
        status = self._stack.value
        if status is None:
            await self._start_over("")
            return
        connecting = _Kept[Examination]()
        await connecting.look(self._connected, _CONNECT_LIMIT)
        if connecting.value is None:
            self._queues.problem = self._workflows.problem = connecting.problem
            await self._drop()
        elif connecting.value.wants_temporal:
            async with await connecting.value.later(status) as exam:
                await asyncio.gather(
                    self._queues.look(lambda: look_at_queues(exam)),
                    self._workflows.look(lambda: self._following.look(exam, self._count)),
                )

    async def _connected(self) -> Examination:
        """One for this run of the stack, with a server that was up; its connection mends itself."""
        state = self._folder.read_state()
        await self._start_over(state.run_id if state is not None else "")
        if self._exam is None:
            exam = await self._exits.enter_async_context(Examination(self._config(), self._folder))
            if exam.wants_temporal:
                await connect(exam)
                await asyncio.gather(exam.skew(), exam.is_bot())
            self._exam = exam
        return self._exam

    async def _start_over(self, run_id: str) -> None:
        """Another run may have other ports, and another server."""
        if run_id == self._run_id:
            return
        self._run_id = run_id
        self._following = Following()
        self._queues.forget()
        self._workflows.forget()
        await self._drop()

    async def _drop(self) -> None:
        """The next look connects again."""
        self._exam = None
        await self._exits.aclose()


def _problem(error: Exception) -> Reason:
    if isinstance(error, MikaError):
        return Reason(error.message, error.hint)
    return Reason(_("no answer") if call_error(error) in _SILENT else describe(error))
