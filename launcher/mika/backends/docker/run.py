"""One start of a service's container. To the supervisor it looks like a process: it runs, exits and can be stopped."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import Any

from mika.backends.docker import explain
from mika.backends.docker.monitor import ContainerSnapshot, Monitor
from mika.backends.docker.project import Project
from mika.backends.docker.services import Service
from mika.guard.segments import SegmentWriter
from mika.project import logs
from mika.reason import NONE, Reason
from mika.supervisor.guard import Exit
from mika.supervisor.unit import Launch
from mika.wording import _

_REMOVAL_DELAY, _REMOVAL_DELAY_AFTER_STOP = 0.6, 5.0
"""Seconds to wait after an exit for the container to be removed as well; longer if somebody has stopped it. A manual
`docker compose down` stops the other containers first."""
_LAST_LOG_TIMEOUT = 2.0
_CLOCK_STEP = 0.5  # s that a log's index may be behind
_LAST_LINES = 40
_FIRST_SIGNAL_CODE = 128  # exit codes from here on come from a signal, and the last lines do not explain those
_TAIL_LINES, _WHOLE_LOG_AGE = 1000, 60.0  # of a container that started longer ago than this (s), only the last lines


class ContainerRun:
    """Follows the container through restarts and recreation by others, until it has exited or must be given up."""

    pid = 0

    def __init__(self, project: Project, service: Service, launch: Launch) -> None:
        self.service = service
        self.exit: Exit | None = None
        self.log_dir = project.log_dir
        self.is_removed = False
        self._project, self._launch = project, launch
        self._start_key: tuple[str, str] | None = None
        self._log_copier: _LogCopier | None = None
        self._stopping = False
        self._began = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_attached(self) -> bool:
        """Its container has started, and has not been removed."""
        return self._start_key is not None and not self.is_removed

    # --- requests of the supervisor ----------------------------------------------------------------------------------

    def request_stop(self) -> None:
        if not self._stopping:
            self._stop(kill=False)

    def kill(self, patience: float = 0.0) -> None:
        del patience  # a container has no guard that could hang
        self._stop(kill=True)

    def fail(self, reason: Reason) -> None:
        """Give up: the container may be running, but it will never do its work."""
        self.exit = self.exit or Exit(1, reason, final=True)
        self._project.monitor.request_refresh()

    async def wait(self) -> Exit:
        """Return when the container has exited and its log is complete."""
        try:
            exit_ = await self._follow()
            if self._log_copier is not None:
                await asyncio.to_thread(self._log_copier.join, _LAST_LOG_TIMEOUT)
            if exit_ is not self.exit:  # otherwise it comes from `fail`, and its reason is complete
                self.exit = exit_ = await asyncio.to_thread(self._explain_exit, exit_)
            return exit_
        finally:
            self._close_log_copier()

    def _stop(self, *, kill: bool) -> None:
        self._stopping = True
        task = asyncio.get_running_loop().create_task(self._project.stop(self.service, kill=kill))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- following the container -------------------------------------------------------------------------------------

    async def _follow(self) -> Exit:
        project, monitor, name = self._project, self._project.monitor, self.service.name
        is_restart = self._launch.generation > 1
        if is_restart:
            if start_failure := await self._start_again():
                return start_failure
        else:
            await project.bring_up(self._launch.run_id)
        while True:
            container = monitor.get(name)
            if self.exit is not None:
                if container is not None:
                    project.reported_exits[name] = container.start_key
                return self.exit
            if not monitor.error and (exit_ := self._detect_exit(container)):
                if self.is_attached and not self._stopping and await self._is_being_removed():
                    continue
                if container is not None:
                    project.reported_exits[name] = container.start_key
                return exit_
            if self._stopping and (monitor.error or not self._may_still_run(container)):
                return Exit(0, Reason(monitor.error or _("stopped")))
            if is_restart and self._has_engine_given_up(container) and (start_failure := await self._start_again()):
                return start_failure
            await monitor.wait_for_refresh()

    async def _start_again(self) -> Exit | None:
        """Start the container. Returns an Exit only if it cannot be started."""
        starting = asyncio.ensure_future(self._project.start(self.service.name, self._launch.run_id))
        try:
            while not starting.done() and not self._stopping:
                await asyncio.wait([starting], timeout=0.1)
            reason = starting.result() if starting.done() else NONE
            return Exit(1, reason, final=True) if reason else None
        finally:
            starting.cancel()

    def _has_engine_given_up(self, container: ContainerSnapshot | None) -> bool:
        """The engine was about to restart the container by itself, but has given up."""
        return (
            container is not None
            and self._start_key is None
            and not self._stopping
            and not self._project.monitor.error
            and container.state in ("exited", "dead", "created")
        )

    def _detect_exit(self, container: ContainerSnapshot | None) -> Exit | None:
        """How this run has ended, or None while it continues."""
        if container is None:
            self.is_removed = self._start_key is not None
        elif container.is_running:
            if self._start_key is None or self.is_removed or container.id != self._start_key[0]:
                self._attach(container)  # somebody may have recreated it: it is still this service
            elif container.start_key != self._start_key:
                return self._make_exit(container, self._project.monitor.exit_codes.get(container.id, 1))
        elif container.state in ("restarting", "exited", "dead") and not self._is_from_earlier_run(container):
            self._attach(container)
            return self._make_exit(container, container.exit_code)
        elif container.state == "created" and container.error and self._project.is_compose_done:
            return Exit(1, self._project.explain_error(container.error), final=True)
        return self._start_failure() if self._start_key is None else None

    def _is_from_earlier_run(self, container: ContainerSnapshot) -> bool:
        if self._launch.generation > 1:
            return container.start_key == self._project.reported_exits.get(self.service.name)
        started_before = self._project.exited_before(self.service.name)
        return not self._project.is_compose_done and container.start_key == started_before

    def _start_failure(self) -> Exit | None:
        failure = self._project.failure
        if failure is None or failure.is_shown_by_service or failure.service not in ("", self.service.name):
            return None
        return Exit(1, failure.reason, final=True)

    async def _is_being_removed(self) -> bool:
        """Whether the container is removed soon after its exit: somebody took it down on purpose, it did not crash."""
        began = time.monotonic()
        monitor = self._project.monitor
        while not self._stopping:
            container = monitor.get(self.service.name)
            if container is None and not monitor.error:
                return True
            was_stopped = self._start_key is not None and self._start_key[0] in monitor.stopped_ids
            patience = _REMOVAL_DELAY_AFTER_STOP if was_stopped else _REMOVAL_DELAY
            if (container is not None and container.is_running) or time.monotonic() - began >= patience:
                return False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await monitor.wait_for_refresh()
        return False

    def _make_exit(self, container: ContainerSnapshot, code: int) -> Exit:
        if code == 0 and self.service.one_shot:
            return Exit(0, Reason(_("done (exit code 0)")))
        # Another attempt of a failed one-shot would only fail again in the same way.
        return Exit(code, Reason(explain.exit_reason(container, code)), final=self.service.one_shot)

    def _explain_exit(self, exit_: Exit) -> Exit:
        """The exit with what the last lines of the log say about it; final if their cause would not go away."""
        if self._start_key is None or self._stopping:
            return exit_
        lines = self._log_lines(self.service.name) or self._copy_last_lines(self._start_key[0])
        if not 0 < exit_.code < _FIRST_SIGNAL_CODE:
            return exit_
        cause = explain.lasting_cause(lines)
        database = self._project.file.with_role("postgresql")
        if not cause and database is not None and explain.has_lost_its_database(lines):
            cause = explain.lasting_cause(self._log_lines(database.name))
        if cause:
            return Exit(exit_.code, cause.within(exit_.reason.text), final=True)
        last = explain.last_reason(lines)
        return Exit(exit_.code, last.within(exit_.reason.text) if last else exit_.reason, final=exit_.final)

    def _log_lines(self, name: str) -> list[str]:
        """The last lines of this run."""
        recent = logs.read_tail(self.log_dir, name, _LAST_LINES)
        return [logs.decode(line.data) for line in recent if line.time >= self._began]

    def _copy_last_lines(self, container_id: str) -> list[str]:
        """From the engine into the log: after a short run, its stream may close before it has sent anything."""
        try:
            output: bytes = self._project.monitor.client.api.logs(container_id, tail=_LAST_LINES)
        except Exception:  # noqa: BLE001 - the container or the engine is gone, so there are no lines
            return []
        if output:
            self._close_log_copier()
            writer = SegmentWriter(str(self.log_dir), self.service.name, self._project.log_max_bytes)
            writer.write(output)
            writer.close()
        return [logs.decode(line) for line in output.splitlines()]

    @staticmethod
    def _may_still_run(container: ContainerSnapshot | None) -> bool:
        return container is not None and (container.is_running or container.state == "restarting")

    # --- the log -----------------------------------------------------------------------------------------------------

    def _attach(self, container: ContainerSnapshot) -> None:
        if self._start_key == container.start_key and not self.is_removed:
            return
        self._close_log_copier()
        self._start_key, self.is_removed = container.start_key, False
        self._began = min(time.time(), container.started_at) - _CLOCK_STEP
        since = container.started_at
        if container.service not in self._project.logged_services:  # an earlier run of mika may have copied a part
            since = max(since, self._copied_until(container))
        self._project.logged_services.add(container.service)
        self._start_log_copier(container, since)

    def _start_log_copier(self, container: ContainerSnapshot, since: float) -> None:
        writer = SegmentWriter(str(self.log_dir), container.service, self._project.log_max_bytes)
        self._log_copier = _LogCopier(self._project.monitor, container, since, writer)
        self._log_copier.start()

    def _copied_until(self, container: ContainerSnapshot) -> float:
        segments = logs.segments(self.log_dir, container.service)
        return segments[-1].path.stat().st_mtime if segments else 0.0

    def resume_log(self) -> None:
        """Copy the log again if the engine has closed the stream, but the container is still running."""
        container = self._project.monitor.get(self.service.name)
        has_stopped = self._log_copier is not None and not self._log_copier.is_alive()
        if has_stopped and container is not None and container.is_running:
            self._start_log_copier(container, max(container.started_at, self._copied_until(container)))

    def _close_log_copier(self) -> None:
        if self._log_copier is not None:
            self._log_copier.close()
            self._log_copier = None


class _LogCopier(threading.Thread):
    """Copies a container's output to `.mika/logs`, so that it is read like any other log and outlives the container."""

    def __init__(self, monitor: Monitor, container: ContainerSnapshot, since: float, writer: SegmentWriter) -> None:
        super().__init__(name=f"log-{container.service}", daemon=True)
        self._monitor, self._container_id, self._since, self._writer = monitor, container.id, since, writer
        self._stream: Any = None
        self._closed = False

    def run(self) -> None:
        tail: Any = "all" if time.time() - self._since < _WHOLE_LOG_AGE else _TAIL_LINES
        try:
            with contextlib.closing(self._monitor.connect_for_stream()) as client:
                self._stream = client.api.logs(
                    self._container_id, stream=True, follow=True, stdout=True, stderr=True, since=self._since, tail=tail
                )
                for data in () if self._closed else self._stream:
                    if self._closed:
                        break
                    self._writer.write(data)
        except Exception:  # noqa: BLE001 - the engine is gone, or its log driver keeps nothing, so there is no log
            return
        finally:
            self._writer.close()

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(Exception):
            self._stream.close()
