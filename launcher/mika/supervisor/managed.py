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
from mika.reason import NONE, Reason
from mika.status import LastExit, Phase, UnitStatus
from mika.supervisor import policy
from mika.supervisor.diagnose import hopeless, last_words
from mika.supervisor.guard import HURRY_SECONDS, Exit, Guard, GuardEvent, LogFailed, LogRecovered, StartFailedError
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
        self.reason = NONE
        self.last_exit: Exit | None = None
        self.exited_at = 0.0
        self.started_at: float | None = None
        self._run_id, self._bus, self._changed = run_id, bus, changed
        self._tasks: set[asyncio.Task[None]] = set()
        self._order = ""
        self._lines: list[str] = []

    # --- what others want --------------------------------------------------------------------------------------------

    def feed(self, event: policy.Input) -> None:
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

    def kill(self, *, hurry: bool = False) -> None:
        """End the tree at once, in whatever state it is; the policy then sees an exit like any other.

        `hurry`: wait for no guard that does not report at once.
        """
        self._order = "kill"
        if self.guard is None:
            return
        if hurry:
            self.guard.kill(HURRY_SECONDS)
        else:
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

    def status(self) -> UnitStatus:
        """What `mika status` shows of it."""
        now = time.monotonic()
        pid, rss = self._own_process()
        last = self.last_exit
        return replace(
            # Its process is gone, and the policy hears of it in a moment.
            _status(
                self.unit,
                Phase.STARTING if pid is None and self._has_lost_its_process else self.state.phase,
                self.reason,
            ),
            pid=pid,
            restarts=self.state.restarts,
            uptime_s=round(now - self.started_at, 1) if self.started_at is not None else None,
            rss_mb=rss,
            last_exit=LastExit(last.code, last.reason, round(now - self.exited_at, 1)) if last is not None else None,
            container=self.unit.container() if self.unit.container is not None else "",
        )

    @property
    def _has_lost_its_process(self) -> bool:
        return self.ready and self.unit.role == "process"

    def _own_process(self) -> tuple[int | None, float | None]:
        """Pid and RSS (MB) of the service itself: behind a shell that was needed, its only child."""
        import psutil

        if self.guard is None or self.guard.exit is not None or not self.guard.pid:
            return None, None
        pid = self.guard.pid
        try:
            process = psutil.Process(pid)
            if self.unit.behind_shell:
                children = process.children()
                process = children[0] if len(children) == 1 else process
            return process.pid, round(process.memory_info().rss / 1e6, 1)
        except (psutil.Error, OSError):
            return pid, None

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
            self._exited(generation, Exit(127, error.reason), [error.message], cause=error.message)
            return
        self.started_at, self.reason = time.monotonic(), NONE
        if self.guard.pid:
            self._bus.publish(events.Started(name=self.unit.name, pid=self.guard.pid, generation=generation))
        if self._order == "kill":  # it came while the guard was starting
            self.guard.kill()
        elif self._order == "stop":
            self.guard.request_stop()
        watcher = asyncio.create_task(watch(rungs, liveness, _Observer(self, generation)))
        try:
            exit_ = await self.guard.wait()
        finally:
            watcher.cancel()
        lines = self._output(self.guard.log_dir, began)
        self._exited(generation, exit_, lines, cause=hopeless(lines, exit_.code) if exit_.code != 0 else "")
        await tasks.end(watcher)

    async def _started(self, launch: Launch) -> Running:
        if self.unit.run is not None:
            return self.unit.run(launch)
        assert self.unit.spec is not None  # noqa: S101 - a unit with neither is an External
        return await Guard.start(self.unit.spec(launch), self._heard)

    def _output(self, log_dir: Any, began: float) -> list[str]:
        recent = logs.read_tail(log_dir, self.unit.name, 2 * SHOWN_LINES)
        return [logs.decode(line.data) for line in recent if line.time >= began][-SHOWN_LINES:]

    def _exited(self, generation: int, exit_: Exit, lines: list[str], *, cause: str) -> None:
        pid = self.guard.pid if self.guard is not None else 0
        self.guard, self.started_at = None, None
        if self._order == "kill" and self.state.phase is Phase.UNHEALTHY and exit_.code != 0:  # it was us: it hung
            exit_ = replace(exit_, reason=self.state.reason.within(exit_.reason.text))
        self.last_exit, self.exited_at = exit_, time.monotonic()
        self._lines = lines
        is_done = self.unit.run is not None and exit_.code == 0 and self.unit.rules.restart != "always"
        expected = self.state.phase is Phase.STOPPING or is_done
        self._bus.publish(
            events.Exited(name=self.unit.name, pid=pid, code=exit_.code, reason=exit_.reason, expected=expected)
        )
        # A container says in its reason what its lines mean.
        words = last_words(lines) if exit_.code > 0 and self.unit.run is None else ""
        is_new = words not in ("", exit_.reason.text)
        self.reason = Reason(f"{exit_.reason.text}: {words}", exit_.reason.fix) if is_new else exit_.reason
        self.feed(policy.ProcessExited(generation, exit_.code, self.reason, cause, exit_.final))

    def _heard(self, event: GuardEvent) -> None:
        """What the guard says of the log."""
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
                self._bus.publish(events.Ready(name=name, elapsed=elapsed, detail=self.reason.text))
            case Phase.UNHEALTHY:
                self.reason = state.reason
                self._bus.publish(events.Unhealthy(name=name, reason=state.reason))
            case Phase.BACKOFF:
                delay = (state.wake_at or 0) - time.monotonic()
                self._bus.publish(events.BackingOff(name=name, delay=max(0.0, delay), failures=state.failures))
            case Phase.WAITING:
                self.reason = Reason(f"waits for {', '.join(self.unit.needs)}")
                self._bus.publish(events.Waiting(name=name, needs=self.unit.needs))
            case Phase.STOPPING:
                self._bus.publish(events.Stopping(name=name))
            case Phase.STOPPED:
                self.reason = Reason("stopped", f"`mika start {name}`")
                if before.phase is Phase.STOPPING:
                    self._bus.publish(events.Stopped(name=name))
            case Phase.GAVE_UP:
                self.reason = state.reason
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

    def rung_waiting(self, rung: str, reason: Reason) -> None:
        self._managed.reason = reason.within(rung)
        self._managed._bus.publish(events.RungWaiting(name=self._managed.unit.name, rung=rung, reason=reason))  # noqa: SLF001

    def became_ready(self, detail: str) -> None:
        self._managed.reason = Reason(detail or "running")
        self._managed.feed(policy.BecameReady(self._generation))

    def became_unready(self, reason: Reason) -> None:
        self._managed.feed(policy.BecameUnready(self._generation, reason))

    def hung(self, reason: Reason) -> None:
        self._managed.feed(policy.Hung(self._generation, reason))


class External:
    """A unit that somebody else runs: watched, never started or stopped."""

    def __init__(self, unit: Unit, bus: Bus, changed: Callable[[], None]) -> None:
        self.unit = unit
        self.phase = Phase.STARTING
        self.reason = NONE
        self._bus, self._changed = bus, changed
        self._began = time.monotonic()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        launch = Launch(0, "", "", None, tuple)
        rungs, liveness = self.unit.probes(launch)
        self._task = asyncio.create_task(watch(rungs, liveness, self), name=self.unit.name)

    async def stop(self) -> None:
        if self._task is not None:
            await tasks.end(self._task)

    @property
    def ready(self) -> bool:
        return self.phase is Phase.READY

    def status(self) -> UnitStatus:
        return _status(self.unit, self.phase, self.reason)

    def rung_reached(self, rung: str, elapsed: float, detail: str) -> None:
        self._bus.publish(events.RungReached(name=self.unit.name, rung=rung, elapsed=elapsed, detail=detail))

    def rung_waiting(self, rung: str, reason: Reason) -> None:
        self.reason = reason.within(rung)
        self._bus.publish(events.RungWaiting(name=self.unit.name, rung=rung, reason=reason))

    def became_ready(self, detail: str) -> None:
        self.phase, self.reason = Phase.READY, Reason(detail)
        self._bus.publish(events.Ready(name=self.unit.name, elapsed=time.monotonic() - self._began, detail=detail))
        self._changed()

    def became_unready(self, reason: Reason) -> None:
        self.phase, self.reason = Phase.UNHEALTHY, reason
        self._bus.publish(events.Unhealthy(name=self.unit.name, reason=reason))
        self._changed()

    def hung(self, reason: Reason) -> None:
        self.became_unready(reason)


def _status(unit: Unit, phase: Phase, reason: Reason) -> UnitStatus:
    """What holds of any unit; of a process there is more to say."""
    return UnitStatus(
        name=unit.name,
        type=unit.type,
        role=unit.role,
        kind=unit.kind,
        phase=phase,
        address=unit.address,
        reason=reason,
        required=unit.required,
    )
