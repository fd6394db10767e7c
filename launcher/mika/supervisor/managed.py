"""One unit at work: feeds what happens to its policy, does what the policy says, and tells everybody."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from mika import events, tasks
from mika.events import Bus
from mika.project import logs
from mika.supervisor import policy
from mika.supervisor.diagnose import hopeless, last_words
from mika.supervisor.guard import Exit, Guard, GuardEvent, LogFailed, LogRecovered, StartFailedError
from mika.supervisor.policy import Phase
from mika.supervisor.unit import Launch, Running, Unit
from mika.supervisor.watch import watch

SHOWN_LINES = 20
"""Lines of output that are kept as the reason when a process has given up."""


class Managed:
    """A unit that we start: with a process tree of its own, or in a container."""

    def __init__(self, unit: Unit, run_id: str, bus: Bus, changed: Callable[[], None]) -> None:
        self.unit = unit
        self.state = policy.State()
        self.guard: Running | None = None
        self.detail = ""
        self.last_exit: Exit | None = None
        self.exited_at = 0.0
        self.started_at: float | None = None
        self._run_id, self._bus, self._changed = run_id, bus, changed
        self._tasks: set[asyncio.Task[None]] = set()
        self._order = ""
        self._lines: list[str] = []

    # --- what others want --------------------------------------------------------------------------------------------

    def feed(self, event: policy.Event) -> None:
        before = self.state
        self.state, actions = policy.step(before, event, time.monotonic(), self.unit.rules, random.random())  # noqa: S311
        another_reason = isinstance(event, policy.BecameUnready) and self.state.reason != before.reason
        if self.state.phase is not before.phase or another_reason:
            self._announce(before)
        for action in actions:
            self._do(action)
        if self.state != before:
            self._changed()

    @property
    def ready(self) -> bool:
        return self.state.phase is Phase.READY

    def kill(self) -> None:
        """End the tree at once, in whatever state it is; the policy then sees an exit like any other."""
        self._order = "kill"
        if self.guard is not None:
            self.guard.kill()

    async def leave(self) -> None:
        """Let it run, and look away."""
        for task in self._tasks:
            task.cancel()
        await self.gone()

    async def gone(self) -> None:
        """Return when no process of this unit is left."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def pids(self) -> Collection[int]:
        """The service's pid and its descendants'."""
        import psutil

        if self.guard is None or self.guard.exit is not None or not self.guard.pid:
            return ()
        with contextlib.suppress(psutil.Error, OSError):
            leader = psutil.Process(self.guard.pid)
            return (self.guard.pid, *(child.pid for child in leader.children(recursive=True)))
        return (self.guard.pid,)

    # --- what the policy says ----------------------------------------------------------------------------------------

    def _do(self, action: policy.Action) -> None:
        match action:
            case policy.Spawn():
                self._order = ""
                task = asyncio.get_running_loop().create_task(self._run(action.generation), name=self.unit.name)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case policy.Terminate():
                self._order = "stop"
                if self.guard is not None:
                    self.guard.request_stop()
            case policy.Kill():
                self.kill()
            case policy.Wake():
                asyncio.get_running_loop().call_later(action.delay, self.feed, policy.Tick())

    async def _run(self, generation: int) -> None:
        identity = f"{self.unit.name}@{self._run_id}-{generation}"
        launch = Launch(generation, self._run_id, identity, self.unit.beat_file, self.pids)
        began = time.time()
        if self.unit.beat_file is not None:
            self.unit.beat_file.unlink(missing_ok=True)
        rungs, liveness = self.unit.probes(launch)  # before the start: a probe of the log begins where the log ends now
        try:
            self.guard = await self._started(launch)
        except StartFailedError as error:
            self._ended(generation, Exit(127, error.message), [error.message], cause=error.message)
            return
        self.started_at, self.detail = time.monotonic(), ""
        if self.guard.pid:
            self._bus.publish(events.Started(name=self.unit.name, pid=self.guard.pid, generation=generation))
        if self._order == "kill":  # it came while the guard was starting
            self.guard.kill()
        elif self._order == "stop":
            self.guard.request_stop()
        watcher = asyncio.create_task(watch(self.unit.name, rungs, liveness, _Observer(self, generation)))
        try:
            ended = await self.guard.wait()
        finally:
            watcher.cancel()
        lines = self._output(self.guard.log_dir, began)
        self._ended(generation, ended, lines, cause=hopeless(lines, ended.code) if ended.code != 0 else "")
        await tasks.end(watcher)

    async def _started(self, launch: Launch) -> Running:
        if self.unit.run is not None:
            return self.unit.run(launch)
        assert self.unit.spec is not None  # noqa: S101 - a unit with neither is an External
        return await Guard.start(self.unit.spec(launch), self._heard)

    def _output(self, log_dir: Any, began: float) -> list[str]:
        recent = logs.read_tail(log_dir, self.unit.name, 2 * SHOWN_LINES)
        return [logs.decode(line.data) for line in recent if line.time >= began][-SHOWN_LINES:]

    def _ended(self, generation: int, ended: Exit, lines: list[str], *, cause: str) -> None:
        pid = self.guard.pid if self.guard is not None else 0
        self.guard, self.started_at = None, None
        if self._order == "kill" and self.state.phase is Phase.UNHEALTHY and ended.code != 0:
            ended = replace(ended, reason=f"{ended.reason}: {self.state.reason}")  # it was us, because it hung
        self.last_exit, self.exited_at = ended, time.monotonic()
        self._lines = lines
        done = self.unit.run is not None and ended.code == 0 and self.unit.rules.restart != "always"
        stopped = self.state.phase is Phase.STOPPING or done
        self._bus.publish(
            events.Exited(name=self.unit.name, pid=pid, code=ended.code, reason=ended.reason, expected=stopped)
        )
        # A container says in its reason what its lines mean.
        words = last_words(lines) if ended.code > 0 and self.unit.run is None else ""
        reason = f"{ended.reason}: {words}" if words and words != ended.reason else ended.reason
        self.detail = reason
        self.feed(policy.Exited(generation, ended.code, reason, cause, ended.final))

    def _heard(self, event: GuardEvent) -> None:
        """What the guard says of the log; of the exit it is `wait()` that tells, when the whole tree is gone."""
        name = self.unit.name
        match event:
            case LogFailed():
                text = f"its log cannot be written: {event.message}; it goes on, what it prints now is lost"
                self._bus.publish(events.Notice(name=name, level="warning", message=text))
            case LogRecovered():
                text = f"its log is written again; {event.lost} bytes were lost"
                self._bus.publish(events.Notice(name=name, level="warning", message=text))

    # --- what everybody hears ----------------------------------------------------------------------------------------

    def _announce(self, before: policy.State) -> None:
        name, state = self.unit.name, self.state
        match state.phase:
            case Phase.READY:
                elapsed = time.monotonic() - (self.started_at or time.monotonic())
                self._bus.publish(events.Ready(name=name, elapsed=elapsed, detail=self.detail))
            case Phase.UNHEALTHY:
                self.detail = state.reason
                self._bus.publish(events.Unhealthy(name=name, reason=state.reason))
            case Phase.BACKOFF:
                delay = (state.wake_at or 0) - time.monotonic()
                self._bus.publish(events.BackingOff(name=name, delay=max(0.0, delay), failures=state.failures))
            case Phase.WAITING:
                self.detail = f"waits for {', '.join(self.unit.needs)}"
                self._bus.publish(events.Waiting(name=name, needs=self.unit.needs))
            case Phase.STOPPING:
                self._bus.publish(events.Stopping(name=name))
            case Phase.STOPPED:
                self.detail = f"`mika start {name}` starts it"
                if before.phase is Phase.STOPPING:
                    self._bus.publish(events.Stopped(name=name))
            case Phase.GAVE_UP:
                self.detail = state.reason
                self._bus.publish(events.GaveUp(name=name, reason=state.reason, last_lines=tuple(self._lines)))
            case _:
                pass


class _Observer:
    """Hands what the watch sees to the policy, bound to one generation."""

    def __init__(self, managed: Managed, generation: int) -> None:
        self._managed, self._generation = managed, generation

    def rung_reached(self, rung: str, elapsed: float, detail: str) -> None:
        self._managed._bus.publish(  # noqa: SLF001
            events.RungReached(name=self._managed.unit.name, rung=rung, elapsed=elapsed, detail=detail)
        )

    def rung_waiting(self, rung: str, error: str) -> None:
        self._managed.detail = f"{rung}: {error}"
        self._managed._bus.publish(events.RungWaiting(name=self._managed.unit.name, rung=rung, error=error))  # noqa: SLF001

    def became_ready(self, detail: str) -> None:
        self._managed.detail = detail or "running"
        self._managed.feed(policy.BecameReady(self._generation))

    def became_unready(self, reason: str) -> None:
        self._managed.feed(policy.BecameUnready(self._generation, reason))

    def hung(self, reason: str) -> None:
        self._managed.feed(policy.Hung(self._generation, reason))


class External:
    """A unit that somebody else runs: watched, never started or stopped."""

    def __init__(self, unit: Unit, bus: Bus, changed: Callable[[], None]) -> None:
        self.unit = unit
        self.detail = ""
        self.state = "starting"
        self._bus, self._changed = bus, changed
        self._began = time.monotonic()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        launch = Launch(0, "", "", None, tuple)
        rungs, liveness = self.unit.probes(launch)
        self._task = asyncio.create_task(watch(self.unit.name, rungs, liveness, self), name=self.unit.name)

    async def stop(self) -> None:
        if self._task is not None:
            await tasks.end(self._task)

    @property
    def ready(self) -> bool:
        return self.state == "ready"

    def rung_reached(self, rung: str, elapsed: float, detail: str) -> None:
        self._bus.publish(events.RungReached(name=self.unit.name, rung=rung, elapsed=elapsed, detail=detail))

    def rung_waiting(self, rung: str, error: str) -> None:
        self.detail = f"{rung}: {error}"
        self._bus.publish(events.RungWaiting(name=self.unit.name, rung=rung, error=error))

    def became_ready(self, detail: str) -> None:
        self.state, self.detail = "ready", detail
        self._bus.publish(events.Ready(name=self.unit.name, elapsed=time.monotonic() - self._began, detail=detail))
        self._changed()

    def became_unready(self, reason: str) -> None:
        self.state, self.detail = "unhealthy", reason
        self._bus.publish(events.Unhealthy(name=self.unit.name, reason=reason))
        self._changed()

    def hung(self, reason: str) -> None:
        self.became_unready(reason)
