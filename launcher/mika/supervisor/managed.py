"""One unit of a running stack: feeds events to its policy, carries out the policy's actions, and publishes changes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Literal

from mika import events, tasks
from mika.errors import describe
from mika.events import Bus
from mika.project import logs
from mika.reason import NONE, Reason
from mika.status import LastExit, Phase, UnitStatus
from mika.supervisor import policy
from mika.supervisor.explanation import UNEXPLAINED, Explanation
from mika.supervisor.guard import (
    URGENT_REPORT_SECONDS,
    Exit,
    Guard,
    GuardEvent,
    StartFailedError,
)
from mika.supervisor.survivors import Survivor, describe_survivors, still_alive
from mika.supervisor.tree import Tree
from mika.supervisor.unit import Launch, Running, Unit
from mika.supervisor.watch import watch
from mika.wording import _, listed

_NOT_STARTED = 127  # exit code, as of a shell that cannot start a program
SHOWN_LINES = 20
"""How many of its last lines of output are shown when a process has given up."""


class Managed:
    """A unit that this supervisor starts, as a process tree under a guard or as a container."""

    def __init__(self, unit: Unit, run_id: str, bus: Bus, on_change: Callable[[], None]) -> None:
        self.unit = unit
        self.state = policy.State()
        self.debug = False
        """Whether it is to be started for a debugger."""
        self.guard: Running | None = None
        self.reason = self._why_exited = NONE
        self.last_exit: Exit | None = None
        self.exited_at = 0.0
        self.survivors: tuple[Survivor, ...] = ()
        """Processes of its last run that could not be killed."""
        self.started_at: float | None = None
        self.held_back = NONE
        """Why newer code has not replaced what runs."""
        self.settled_at = 0.0  # monotonic time: a restart for changed files waits until then, as more may change
        self._run_id, self._bus, self._on_change = run_id, bus, on_change
        self._tasks: set[asyncio.Task[None]] = set()
        self._requested: Literal["", "stop", "kill"] = ""  # of the current generation
        self._tree: Tree | None = None
        self._log_start: logs.Position | None = None  # of the current generation
        self._last_lines: tuple[str, ...] = ()
        self._temporal = ""  # the address that the process was given

    # --- for the supervisor ------------------------------------------------------------------------------------------

    def feed(self, event: policy.Input) -> None:
        """Let the policy handle `event`, and carry out its actions."""
        previous = self.state
        self.state, actions = policy.step(previous, event, time.monotonic(), self.unit.rules, random.random())  # noqa: S311
        has_new_reason = isinstance(event, policy.BecameUnready) and self.state.reason != previous.reason
        if self.state.phase is not previous.phase or has_new_reason:
            self._publish_phase(previous)
        for action in actions:
            self._execute(action)
        if self.state != previous:
            self._on_change()

    @property
    def ready(self) -> bool:
        return self.state.phase is Phase.READY

    def kill(self, *, urgent: bool = False) -> None:
        """Kill the tree in any state. The policy then sees a normal exit.

        `urgent`: also kill a guard that does not report within URGENT_REPORT_SECONDS.
        """
        self._requested = "kill"
        if self.guard is None:
            return
        if urgent:
            self.guard.kill(URGENT_REPORT_SECONDS)
        else:
            self.guard.kill()

    async def detach(self) -> None:
        """Stop watching the unit, and leave it running."""
        for task in self._tasks:
            task.cancel()
        await self.wait_until_gone()

    async def wait_until_gone(self) -> None:
        """Return when no process of this unit is left."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def pids(self) -> Collection[int]:
        """The pids of the service and its descendants."""
        tree = self.tree
        return tree.pids() if tree is not None else ()

    @property
    def tree(self) -> Tree | None:
        """None if it does not run on this machine."""
        return self._tree if self.guard is not None and self.guard.exit is None else None

    def status(self) -> UnitStatus:
        """What `mika status` shows about it."""
        now = time.monotonic()
        tree = self.tree
        pid, rss = tree.own_process(behind_shell=self.unit.behind_shell) if tree is not None else (None, None)
        last = self.last_exit
        # A process that has just exited may still be ready for the policy, which receives the exit in a moment.
        has_just_exited = pid is None and self.ready and self.unit.role == "process"
        return replace(
            self.unit.status(Phase.STARTING if has_just_exited else self.state.phase, self.reason),
            pid=pid,
            port=self.unit.port,
            listens=tree.addresses() if tree is not None and self.unit.role == "process" else (),
            held_back=self.held_back,
            failing=self._failing(now),
            debug=self.debug,
            restarts=self.state.restarts,
            uptime_s=round(now - self.started_at, 1) if self.started_at is not None else None,
            rss_mb=rss,
            last_exit=LastExit(last.code, last.reason, round(now - self.exited_at, 1)) if last is not None else None,
            container=self.unit.container() if self.unit.container is not None else "",
        )

    def why_it_keeps_failing(self) -> Reason:
        """What ended it at least twice in a row; NONE otherwise. It counts more than what the new attempt waits for."""
        if self.state.failures < 2:
            return NONE
        context = _("failed {count} times in a row", count=self.state.failures)
        logs = _("`mika logs {name}` may say why", name=self.unit.name)
        fix = self._why_exited.fix or _("{logs}; fix that", logs=logs)
        return replace(self._why_exited, fix=fix).within(context)

    def _failing(self, now: float) -> Reason:
        """The same for one that runs again, until it has proved itself: being ready for a moment proves nothing."""
        is_running = self.state.phase in policy.RUNNING
        has_proved_itself = policy.has_proved_itself(self.state, now, self.unit.rules)
        return self.why_it_keeps_failing() if is_running and not has_proved_itself else NONE

    # --- actions of the policy ---------------------------------------------------------------------------------------

    def _execute(self, action: policy.Action) -> None:
        match action:
            case policy.Spawn():
                self._requested = ""
                task = asyncio.get_running_loop().create_task(self._run(action.generation), name=self.unit.name)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case policy.Terminate():
                self._requested = "stop"
                if self.guard is not None:
                    self.guard.request_stop()
            case policy.Kill():
                self.kill()
            case policy.Wake():
                asyncio.get_running_loop().call_later(action.delay, self.feed, policy.Tick())

    async def _run(self, generation: int) -> None:
        """Run it once, until it exits. Any error counts as an exit: without one, the policy would wait forever."""
        try:
            await self._run_once(generation)
        except Exception as error:  # noqa: BLE001
            if self.guard is not None:
                self.guard.kill()
                await self.guard.wait()
            reason = Reason(_("could not be supervised: {error}", error=describe(error)))
            self._handle_exit(generation, Exit(_NOT_STARTED, reason), UNEXPLAINED)

    async def _run_once(self, generation: int) -> None:
        self.survivors = still_alive(self.survivors)
        if self.survivors:
            self._handle_exit(generation, Exit(_NOT_STARTED, NONE, survivors=self.survivors), UNEXPLAINED)
            return
        identity = f"{self.unit.name}@{self._run_id}-{generation}"
        launch = Launch(generation, self._run_id, identity, self.unit.beat_file, self.pids, self.debug)
        if self.unit.beat_file is not None:
            self.unit.beat_file.unlink(missing_ok=True)
        rungs, liveness = self.unit.probes(launch)  # before the start: a log probe begins at the current end of the log
        try:
            self.guard = await self._start(launch)
        except StartFailedError as error:
            # A lack of resources (too many open files, for example) is temporary, so it is not a permanent cause.
            cause = NONE if error.code == "resources" else Reason(error.message)
            why = Explanation(lines=(error.message,), error_line=error.message, cause=cause, ended_itself=True)
            self._handle_exit(generation, Exit(_NOT_STARTED, error.reason), why)
            return
        self.started_at, self.reason, self.held_back = time.monotonic(), NONE, NONE
        self._tree = Tree(self.guard.pid) if self.guard.pid else None
        if self.guard.pid:
            self._bus.publish(events.Started(name=self.unit.name, pid=self.guard.pid, generation=generation))
        self._on_change()  # others may need no more than that it has been started
        if self._requested == "kill":  # while the guard was starting
            self.guard.kill()
        elif self._requested == "stop":
            self.guard.request_stop()
        ready_timeout = 0.0 if launch.debug else self.unit.ready_timeout
        watcher = asyncio.create_task(watch(rungs, liveness, _Observer(self, generation), ready_timeout=ready_timeout))
        try:
            exit_ = await self.guard.wait()
        finally:
            watcher.cancel()
        if self.state.phase is Phase.STOPPING:  # as it was asked to: there is nothing to explain
            await self._until_settled()
            self._handle_exit(generation, exit_, UNEXPLAINED)
        else:
            from mika.supervisor.cause import explain  # before one exits, no start waits for what this imports

            own_ports = [port for port in (self.unit.port, self.unit.probed_port) if port is not None]
            log = self.guard.log_dir, self.unit.name, self._log_start
            why = await explain(log, self.unit.type, exit_.code, own_ports, self._temporal, self.unit.fix_for_missing)
            self._handle_exit(generation, exit_, why)
        await tasks.cancel(watcher)

    async def _until_settled(self) -> None:
        while self.state.should_run and (seconds := self.settled_at - time.monotonic()) > 0:  # noqa: ASYNC110 - it moves
            await asyncio.sleep(seconds)

    async def _start(self, launch: Launch) -> Running:
        if self.unit.run is not None:
            running = self.unit.run(launch)
            self._log_start = logs.end(running.log_dir, self.unit.name)
            return running
        assert self.unit.spec is not None  # noqa: S101 - a unit with neither is an External
        spec = self.unit.spec(launch)
        self._log_start = logs.end(spec.log_dir, self.unit.name)
        self._temporal = spec.env.get("TEMPORAL_ADDRESS", "")
        return await Guard.start(spec, self._on_guard_event)

    def _handle_exit(self, generation: int, exit_: Exit, why: Explanation) -> None:
        """Publish the exit and feed it to the policy. Imports nothing: the policy must hear of every exit."""
        pid = self.guard.pid if self.guard is not None else 0
        self.guard, self.started_at = None, None
        self.survivors = exit_.survivors
        if exit_.survivors:
            exit_ = replace(exit_, reason=describe_survivors(exit_.survivors))
        was_killed_as_hung = self._requested == "kill" and self.state.phase is Phase.UNHEALTHY
        if was_killed_as_hung and exit_.code != 0:
            exit_ = replace(exit_, reason=self.state.reason.within(exit_.reason.text))
        if self.unit.spec is not None and why.ended_itself:
            # With an exit code of 0, the guard has only guessed why, and not known of an error.
            known = exit_.reason.fix if exit_.code or not why.error_line else ""
            fix = known or why.cause.fix or (why.early_fix if self._was_early(exit_.code) else "")
            exit_ = replace(exit_, reason=replace(exit_.reason, fix=fix))
        self.last_exit, self.exited_at = exit_, time.monotonic()
        self._last_lines = why.lines[-SHOWN_LINES:]
        restart = self.unit.rules.restart
        expected = self.state.phase is Phase.STOPPING or (exit_.code == 0 and restart != "always")
        self._bus.publish(
            events.Exited(
                name=self.unit.name,
                pid=pid,
                code=exit_.code,
                reason=exit_.reason,
                expected=expected,
                last_lines=self._last_lines if restart == "never" and not expected else (),
            )
        )
        # The exit reason of a container already contains its error line.
        line = why.cause.text or why.error_line
        error_line = line if why.ended_itself and self.unit.run is None else ""
        is_new = error_line not in ("", exit_.reason.text)
        self.reason = Reason(error_line, exit_.reason.fix).within(exit_.reason.text) if is_new else exit_.reason
        self._why_exited = self.reason
        exited = policy.ProcessExited(
            generation, exit_.code, self.reason, why.cause.text, exit_.final, has_survivors=bool(exit_.survivors)
        )
        self.feed(exited)

    def _was_early(self, code: int) -> bool:
        if self.unit.rules.restart != "always" or self.unit.role != "process":
            return False
        return not self.ready or policy.may_have_done_its_work(self.state, code, time.monotonic(), self.unit.rules)

    def _on_guard_event(self, event: GuardEvent) -> None:
        self._bus.publish(events.Notice(name=self.unit.name, level="warning", message=str(event)))

    # --- events for the bus ------------------------------------------------------------------------------------------

    def _publish_phase(self, previous: policy.State) -> None:
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
                needs = self.unit.shown_needs()
                self.reason = Reason(_("waiting for {needs}", needs=listed(needs)))
                self._bus.publish(events.Waiting(name=name, needs=needs))
            case Phase.STOPPING:
                self._bus.publish(events.Stopping(name=name))
            case Phase.STOPPED:
                self.reason = Reason(_("stopped"), _("`mika start {name}`", name=name))
                if previous.phase is Phase.STOPPING:
                    self._bus.publish(events.Stopped(name=name))
            case Phase.GAVE_UP:
                self.reason = state.reason
                self._bus.publish(events.GaveUp(name=name, reason=state.reason, last_lines=self._last_lines))
            case _:
                pass


class _Observer:
    """Feeds the results of the watch of one generation to the policy."""

    hopeless = None
    """What mika itself has started, it does not give up for what a probe thinks of it."""

    def __init__(self, managed: Managed, generation: int) -> None:
        self._managed, self._generation = managed, generation

    def rung_reached(self, rung: str, elapsed: float, detail: str) -> None:
        self._managed._bus.publish(  # noqa: SLF001
            events.RungReached(name=self._managed.unit.name, rung=rung, elapsed=elapsed, detail=detail)
        )

    def rung_waiting(self, rung: str, reason: Reason) -> None:
        self._managed.reason = self._managed.why_it_keeps_failing() or reason.within(rung)
        self._managed._bus.publish(events.RungWaiting(name=self._managed.unit.name, rung=rung, reason=reason))  # noqa: SLF001

    def became_ready(self, detail: str) -> None:
        self._managed.reason = Reason(detail or _("running"))
        self._managed.feed(policy.BecameReady(self._generation))

    def became_unready(self, reason: Reason) -> None:
        self._managed.feed(policy.BecameUnready(self._generation, reason))

    def hung(self, reason: Reason) -> None:
        self._managed.feed(policy.Hung(self._generation, reason))
