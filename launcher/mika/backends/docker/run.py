"""One start of one service's container, for the supervisor: it runs, ends, is stopped, like a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import Any

from mika.backends.docker import explain
from mika.backends.docker.monitor import Monitor, Seen
from mika.backends.docker.project import Project
from mika.backends.docker.services import Service
from mika.guard.segments import SegmentWriter
from mika.project import logs
from mika.reason import NONE, Reason
from mika.supervisor.guard import Exit
from mika.supervisor.unit import Launch

_REMOVAL, _REMOVAL_OF_STOPPED = 0.6, 5.0
"""Seconds in which a container that has ended, or was stopped by somebody, may turn out to be on its way out
(`docker compose down` by hand, which stops others first)."""
_LAST_LOG = 2.0
_CLOCK_STEP = 0.5  # s; what a log's index may be behind
_LAST_LINES = 40
_BY_SIGNAL = 128  # exit codes from here on: the last lines have nothing to do with it
_TAIL, _YOUNG = 1000, 60.0  # lines of a container that ran for longer than these seconds before mika came


class ContainerRun:
    """Follows the container through whatever happens to it, until it ends or is given up."""

    pid = 0

    def __init__(self, project: Project, service: Service, launch: Launch) -> None:
        self.service = service
        self.exit: Exit | None = None
        self.log_dir = project.log_dir
        self.removed = False
        self._project, self._launch = project, launch
        self._run: tuple[str, str] | None = None
        self._pump: _Pump | None = None
        self._stopping = False
        self._began = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def attached(self) -> bool:
        """Its container was seen running."""
        return self._run is not None and not self.removed

    # --- what the supervisor asks for --------------------------------------------------------------------------------

    def request_stop(self) -> None:
        if not self._stopping:
            self._stop(kill=False)

    def kill(self, patience: float = 0.0) -> None:
        del patience  # the engine has no guard that could be stuck
        self._stop(kill=True)

    def fail(self, reason: Reason) -> None:
        """Waiting is useless: the container may run, but it will never do its work."""
        self.exit = self.exit or Exit(1, reason, final=True)
        self._project.monitor.poke()

    async def wait(self) -> Exit:
        """Return when the container has ended, and its log is complete."""
        try:
            ended = await self._follow()
            if self._pump is not None:
                await asyncio.to_thread(self._pump.join, _LAST_LOG)
            if ended is not self.exit:  # else it was `fail`, which has said it all
                self.exit = ended = await asyncio.to_thread(self._in_words, ended)
            return ended
        finally:
            self._end_pump()

    def _stop(self, *, kill: bool) -> None:
        self._stopping = True
        task = asyncio.get_running_loop().create_task(self._project.stop(self.service, kill=kill))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- following ---------------------------------------------------------------------------------------------------

    async def _follow(self) -> Exit:
        project, monitor, name = self._project, self._project.monitor, self.service.name
        again = self._launch.generation > 1
        if again:
            if refused := await self._start_again():
                return refused
        else:
            await project.bring_up(self._launch.run_id)
        while True:
            seen = monitor.get(name)
            if self.exit is not None:
                if seen is not None:
                    project.ended[name] = seen.run
                return self.exit
            if not monitor.error and (ended := self._judge(seen)):
                if self.attached and not self._stopping and await self._is_being_removed():
                    continue
                if seen is not None:
                    project.ended[name] = seen.run
                return ended
            if self._stopping and (monitor.error or not self._may_still_run(seen)):
                return Exit(0, Reason(monitor.error or "stopped"))
            if again and self._lies_there(seen) and (refused := await self._start_again()):
                return refused
            await monitor.looked()

    async def _start_again(self) -> Exit | None:
        starting = asyncio.ensure_future(self._project.start(self.service.name, self._launch.run_id))
        try:
            while not starting.done() and not self._stopping:
                await asyncio.wait([starting], timeout=0.1)
            refused = starting.result() if starting.done() else NONE
            return Exit(1, refused, final=True) if refused else None
        finally:
            starting.cancel()

    def _lies_there(self, seen: Seen | None) -> bool:
        """The engine was about to start it again by itself, and has given up."""
        return (
            seen is not None
            and self._run is None
            and not self._stopping
            and not self._project.monitor.error
            and seen.state in ("exited", "dead", "created")
        )

    def _judge(self, seen: Seen | None) -> Exit | None:
        """How the run has ended, or None while it goes on."""
        if seen is None:
            self.removed = self._run is not None
        elif seen.runs:
            if self._run is None or self.removed or seen.id != self._run[0]:
                self._attach(seen)  # somebody may have made it anew: that is this service all the same
            elif seen.run != self._run:
                return self._ended(seen, self._project.monitor.exit_codes.get(seen.id, 1))
        elif seen.state in ("restarting", "exited", "dead") and not self._is_old(seen):
            self._attach(seen)
            return self._ended(seen, seen.exit_code)
        elif seen.state == "created" and seen.error and self._project.is_up:
            return Exit(1, self._project.explained(seen.error), final=True)
        return self._never_started() if self._run is None else None

    def _is_old(self, seen: Seen) -> bool:
        """What is left of a run that ended before this one."""
        if self._launch.generation > 1:
            return seen.run == self._project.ended.get(self.service.name)
        return not self._project.is_up and seen.run == self._project.before(self.service.name)

    def _never_started(self) -> Exit | None:
        failure = self._project.failure
        if failure is None or failure.told_by_service or failure.service not in ("", self.service.name):
            return None
        return Exit(1, failure.reason, final=True)

    async def _is_being_removed(self) -> bool:
        """A container that is gone soon after its end was taken away on purpose: that is no crash to mend."""
        began = time.monotonic()
        monitor = self._project.monitor
        while not self._stopping:
            seen = monitor.get(self.service.name)
            if seen is None and not monitor.error:
                return True
            was_stopped = self._run is not None and self._run[0] in monitor.stopped
            patience = _REMOVAL_OF_STOPPED if was_stopped else _REMOVAL
            if (seen is not None and seen.runs) or time.monotonic() - began >= patience:
                return False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await monitor.looked()
        return False

    def _ended(self, seen: Seen, code: int) -> Exit:
        if code == 0 and self.service.one_shot:
            return Exit(0, Reason("done (exit code 0)"))
        # A one-shot that failed has said why; nothing is gained by another attempt at the same.
        return Exit(code, Reason(explain.exit_reason(seen, code)), final=self.service.one_shot)

    def _in_words(self, ended: Exit) -> Exit:
        """With what its last lines say, and final where they name a cause that stays."""
        if self._run is None or self._stopping or not 0 < ended.code < _BY_SIGNAL:
            return ended
        lines = self._lines(self.service.name) or self._engines_lines(self._run[0])
        cause = explain.cause(lines)
        database = self._project.file.with_role("postgresql")
        if not cause and database is not None and explain.has_lost_its_database(lines):
            cause = explain.cause(self._lines(database.name))
        if cause:
            return Exit(ended.code, cause.within(ended.reason.text), final=True)
        last = explain.last_reason(lines)
        return Exit(ended.code, last.within(ended.reason.text) if last else ended.reason, final=ended.final)

    def _lines(self, name: str) -> list[str]:
        """The last lines of this run."""
        recent = logs.read_tail(self.log_dir, name, _LAST_LINES)
        return [logs.decode(line.data) for line in recent if line.time >= self._began]

    def _engines_lines(self, container: str) -> list[str]:
        """The same from the engine: a stream may end before the last lines of a short run are in it."""
        try:
            found: bytes = self._project.monitor.client.api.logs(container, tail=_LAST_LINES)
        except Exception:  # noqa: BLE001 - it is gone, or the engine is: then there is nothing to be told
            return []
        return [logs.decode(line) for line in found.splitlines()]

    @staticmethod
    def _may_still_run(seen: Seen | None) -> bool:
        return seen is not None and (seen.runs or seen.state == "restarting")

    # --- the log -----------------------------------------------------------------------------------------------------

    def _attach(self, seen: Seen) -> None:
        if self._run == seen.run and not self.removed:
            return
        self._end_pump()
        self._run, self.removed = seen.run, False
        self._began = min(time.time(), seen.started_at) - _CLOCK_STEP
        followed = seen.service in self._project.followed
        self._project.followed.add(seen.service)
        # What an earlier run of mika has copied is not copied again.
        self._start_pump(seen, seen.started_at if followed else max(seen.started_at, self._copied_until(seen)))

    def _start_pump(self, seen: Seen, since: float) -> None:
        writer = SegmentWriter(str(self.log_dir), seen.service, self._project.log_max_bytes)
        self._pump = _Pump(self._project.monitor, seen, since, writer)
        self._pump.start()

    def _copied_until(self, seen: Seen) -> float:
        found = logs.segments(self.log_dir, seen.service)
        return found[-1].path.stat().st_mtime if found else 0.0

    def resume_log(self) -> None:
        """The engine was away: the stream has ended with it, and the container has not."""
        seen = self._project.monitor.get(self.service.name)
        if self._pump is not None and not self._pump.is_alive() and seen is not None and seen.runs:
            self._start_pump(seen, max(seen.started_at, self._copied_until(seen)))

    def _end_pump(self) -> None:
        if self._pump is not None:
            self._pump.close()
            self._pump = None


class _Pump(threading.Thread):
    """Copies a container's output into `.mika/logs`, so that it is read like all others and outlives the container."""

    def __init__(self, monitor: Monitor, seen: Seen, since: float, writer: SegmentWriter) -> None:
        super().__init__(name=f"log-{seen.service}", daemon=True)
        self._monitor, self._seen, self._since, self._writer = monitor, seen, since, writer
        self._stream: Any = None
        self._closed = False

    def run(self) -> None:
        tail: Any = "all" if time.time() - self._since < _YOUNG else _TAIL
        try:
            with contextlib.closing(self._monitor.client_for_stream()) as client:
                self._stream = client.api.logs(
                    self._seen.id, stream=True, follow=True, stdout=True, stderr=True, since=self._since, tail=tail
                )
                for data in () if self._closed else self._stream:
                    if self._closed:
                        break
                    self._writer.write(data)
        except Exception:  # noqa: BLE001 - the engine has gone, or its log driver keeps nothing: there is no log then
            return
        finally:
            self._writer.close()

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(Exception):
            self._stream.close()
