"""`mika up --watch`: restart the processes that a change concerns, if their new code fits the runs that are open."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from mika import events
from mika.errors import UsageError, describe
from mika.events import Bus
from mika.reason import Reason
from mika.replay.check import Program, check_program, may_be_worker
from mika.replay.program import Order
from mika.replay.verdict import Verdict, not_checked
from mika.stack.concerned import Concerned
from mika.stack.settings_change import SettingsOfTheStack
from mika.status import Phase
from mika.supervisor.managed import Managed
from mika.supervisor.reload import LOOP_PAUSE, Burst, WriteLoops, changes
from mika.supervisor.supervisor import Supervisor
from mika.wording import _, joined

if TYPE_CHECKING:
    from mika.stack.prepared import Prepared

_READ_AFTER = 2.0
"""Seconds after a burst until the imports are read again."""


class Reloading:
    """Watches the files of one stack."""

    def __init__(self, prepared: Prepared, selection: Sequence[str], supervisor: Supervisor, bus: Bus) -> None:
        self._folder, self._supervisor, self._bus = prepared.folder, supervisor, bus
        self._settings = SettingsOfTheStack(prepared, selection, is_watched=True)
        self._concerned = Concerned(prepared.folder.project, self._processes)
        self._loops = WriteLoops()
        self._swaps: defaultdict[str, set[asyncio.Task[None]]] = defaultdict(set)
        self._pending: defaultdict[str, set[str]] = defaultdict(set)
        """By type: the processes whose files have changed since they were started."""
        self._told: dict[str, list[str]] = {}

    @property
    def _processes(self) -> dict[str, Managed]:
        return {name: managed for name, managed in self._supervisor.managed.items() if managed.unit.role == "process"}

    async def run(self) -> None:
        """Runs until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            looking = tasks.create_task(self._concerned.look())
            reading: asyncio.Task[None] | None = None
            async for burst in changes(self._folder.project):
                await looking
                if reading is not None:
                    reading.cancel()
                was_stale = self._concerned.is_stale
                names = set(self._changed_files(burst, frozenset()))
                self._replace_all(tasks, names)
                if was_stale:  # what the last burst has changed may let this one concern more
                    await self._concerned.refresh()
                    self._replace_all(tasks, self._changed_files(burst, names))
                if burst.settings:
                    self._replace_all(tasks, await self._changed_settings(burst.settings))
                reading = tasks.create_task(self._read_imports())

    async def _read_imports(self) -> None:
        """Later, since what is starting now needs the processor more."""
        await asyncio.sleep(_READ_AFTER)
        await self._concerned.refresh()

    # --- what has changed --------------------------------------------------------------------------------------------

    def _changed_files(self, burst: Burst, but: Collection[str]) -> Iterable[str]:
        """The processes that the files concern. One that a process writes at each start is ignored for a while."""
        concerned = self._concerned.by_process(burst.files)
        for name, changed in [(name, files) for name, files in concerned.items() if name not in but]:
            start = self._supervisor.managed[name].state.generation
            files, looping = self._loops.skip(name, changed, time.monotonic(), start)
            if looping:
                text = _(
                    "{file} changes at each start: ignored for {seconds:.0f} s;"
                    " if {name} writes it, exclude it: `watch = {patterns}`",
                    file=looping[0],
                    seconds=LOOP_PAUSE,
                    name=name,
                    patterns=json.dumps([*self._supervisor.managed[name].unit.watch, f"!{looping[0]}"]),
                )
                self._say(name, text, "warning")
            if files:
                self._say(name, _files_changed(files))
                yield name

    async def _changed_settings(self, files: Sequence[str]) -> set[str]:
        """Give the processes their new settings; returns those that must be restarted to take them."""
        which = joined(_(" and "), files)
        managed = self._processes
        try:
            change = await asyncio.to_thread(self._settings.read, {name: m.unit for name, m in managed.items()})
        except UsageError as error:
            text = _(
                "{files} changed, but the change is not used: {why}",
                files=which,
                why=Reason(error.message, error.hint),
            )
            self._say("", text, "warning")
            return set()
        for name, unit in change.units.items():
            managed[name].unit = unit
        for name, why in change.restart.items():
            self._say(name, _("{files} changed: {what}", files=which, what=why))
        for what in change.not_taken:
            self._say("", _("{files} changed: `mika down`, then `mika up` takes {what}", files=which, what=what))
        if ".env" in files and any(m.unit.kind == "container" for m in self._supervisor.managed.values()):
            self._say(
                "", _(".env changed: containers keep what they have; `mika down`, then `mika up` makes them anew")
            )
        return set(change.restart)

    # --- check, then replace -----------------------------------------------------------------------------------------

    def _replace_all(self, tasks: asyncio.TaskGroup, names: Iterable[str]) -> None:
        by_type: defaultdict[str, set[str]] = defaultdict(set)
        for name in names:
            by_type[self._supervisor.managed[name].unit.type].add(name)
        for process_type, of_type in by_type.items():
            self._replace(tasks, process_type, of_type)

    def _replace(self, tasks: asyncio.TaskGroup, process_type: str, names: set[str]) -> None:
        """A newer change ends the check of an older one."""
        self._pending[process_type] |= names
        earlier = {task for task in self._swaps[process_type] if not task.done()}
        for task in earlier:
            task.cancel()
        self._swaps[process_type] = {*earlier, tasks.create_task(self._swap(process_type, earlier))}

    async def _swap(self, process_type: str, earlier: set[asyncio.Task[None]]) -> None:
        """Restart what is pending of one type, unless the code that it would get does not fit."""
        if earlier:
            await asyncio.wait(earlier)
        pending = [self._supervisor.managed[name] for name in sorted(self._pending[process_type])]
        running = [managed for managed in pending if managed.state.alive and managed.state.should_run]
        self._restart(managed for managed in pending if managed not in running)
        if may_be_worker([managed.unit for managed in running]):
            generations = [managed.state.generation for managed in running]
            verdict = await self._check(running[0])
            self._concerned.report(process_type, verdict.files)
            if verdict.refuses:
                self._pending[process_type].clear()
                is_restarting = any(managed.state.phase is Phase.STOPPING for managed in running)
                is_late = is_restarting or generations != [managed.state.generation for managed in running]
                self._hold_back(running, verdict, is_late=is_late)
                return
            self._tell(running[0].unit.name, verdict)
        self._restart(running)

    def _restart(self, processes: Iterable[Managed]) -> None:
        for managed in processes:
            self._pending[managed.unit.type].discard(managed.unit.name)
            self._supervisor.restart_after_change(managed.unit.name)

    async def _check(self, managed: Managed) -> Verdict:
        # One that is only starting may not have loaded the SDK yet, so it says nothing of what it will be.
        live_pid = managed.guard.pid if managed.ready and managed.guard is not None else 0
        unit = managed.unit
        try:
            return await check_program(
                Program(unit, self._folder, self._supervisor.run_id, live_pid), Order(do="check")
            )
        except Exception as error:  # noqa: BLE001 - it must not keep the new code from running
            reason = Reason(_("not checked: {why}", why=describe(error)))
            return not_checked(unit.type, self._folder.project, reason)

    def _hold_back(self, running: Sequence[Managed], verdict: Verdict, *, is_late: bool) -> None:
        """Say why; the first line is also in the status. `is_late`: nothing can be held back any more."""
        first, *others = verdict.reasons()
        outcome = (
            _("; it is started all the same, because it was restarting when that was saved")
            if is_late
            else _("; the old code goes on")
        )
        first = replace(first, text=first.text + outcome)
        self._told.pop(verdict.process, None)
        for managed in running:
            managed.held_back = managed.held_back if is_late else first
            self._say(managed.unit.name, str(first), "warning")
        for reason in others:
            self._say(running[0].unit.name, str(reason), "warning")

    def _tell(self, name: str, verdict: Verdict) -> None:
        """What is no news is not said again with each save."""
        process_type = verdict.process
        lines = [str(reason) for reason in verdict.reasons()] if verdict.fits or verdict.state != "fits" else []
        known = self._told.get(process_type, [])
        self._told[process_type] = [] if verdict.state == "fits" else lines
        for line in lines:
            if line not in known:
                self._say(name, line)

    def _say(self, name: str, text: str, level: Literal["info", "warning"] = "info") -> None:
        self._bus.publish(events.Notice(name=name, level=level, message=text))


def _files_changed(files: Sequence[str]) -> str:
    if len(files) == 1:
        return _("{file} changed", file=files[0])
    return _("{file} and {count} more changed", file=files[0], count=len(files) - 1)
