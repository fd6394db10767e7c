"""The compose project of one `mika up`: brought up as a whole, then each container is started and stopped by itself."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mika.backends.docker import explain
from mika.backends.docker.explain import Failure
from mika.backends.docker.monitor import ContainerSnapshot, Monitor
from mika.backends.docker.ownership import Ownership
from mika.backends.docker.pull import Pull, PullError, find_missing
from mika.backends.docker.services import ComposeFile, Service
from mika.containers import engine
from mika.containers.compose import Compose
from mika.reason import NONE, Reason
from mika.wording import _

_RETRY_INTERVAL = 0.25


@dataclass(slots=True)
class Project:
    """Shared by the containers of one run. `failure` is set when compose or a pull has failed."""

    compose: Compose
    file: ComposeFile
    monitor: Monitor
    ownership: Ownership
    log_dir: Path
    log_max_bytes: int
    describe_taken_port: Callable[[int], str]
    failure: Failure | None = None
    pulling_s: float = 0.0
    reported_exits: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By service, the start whose exit was reported: the engine keeps showing that exit until the next start."""
    _containers_before: dict[str, ContainerSnapshot] | None = None
    _pulls: dict[str, Pull] | None = None
    _task: asyncio.Task[None] | None = None
    _lock: asyncio.Lock | None = None
    _interrupted: bool = False
    logged_services: set[str] = field(default_factory=set)
    """The services whose logs this run of mika has begun to copy."""

    # --- once --------------------------------------------------------------------------------------------------------

    async def bring_up(self, run_id: str) -> None:
        """Begin to start everything that is not running. Only the first call has an effect."""
        if self._task is None:
            self._task = asyncio.create_task(self._bring_up(run_id), name="compose-up")
            self._task.add_done_callback(lambda _task: self.monitor.request_refresh())
        await asyncio.sleep(0)

    @property
    def is_compose_done(self) -> bool:
        """`compose up` has exited, successfully or not."""
        return self._task is not None and self._task.done()

    def exited_before(self, service: str) -> tuple[str, str] | None:
        """The service's start that was already over before `compose up`, if any: its exit is not one of this run."""
        container = (self._containers_before or {}).get(service)
        return None if container is None or container.is_running else container.start_key

    def pull_progress(self, service: Service) -> str | None:
        """What the service's image is waiting for; None if the image is there."""
        if self._pulls is None:
            return _("looking for the image")
        pull = self._pulls.get(service.image)
        return None if pull is None or service.is_built else pull.progress()

    async def interrupt(self) -> None:
        """Cancel the pulls and the `compose up` that are in progress, and start no others."""
        self._interrupted = True
        self.monitor.start_polling()  # whoever waits for a container's exit needs it, even if nothing was started yet
        for pull in (self._pulls or {}).values():
            pull.stop()
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _bring_up(self, run_id: str) -> None:
        try:
            await self.monitor.start()
            self._containers_before = {container.service: container for container in self.monitor.all()}
            if self._interrupted:
                return
            if self._is_already_up():
                self._pulls = {}
                return
            await self._pull_images()
            await self.monitor.call(self._remove_disconnected)
            arguments = ["up", "-d", *self.file.up_arguments]
            code, output = await self.compose.run(arguments, self.log_dir, {"MIKA_RUN_ID": run_id})
            await self.monitor.refresh()
            if code:
                self.failure = self._explain_compose(output)
        except PullError as error:
            names = [service.name for service in self.file.services if service.image == error.image]
            self.failure = Failure(names[0], error.reason)
        except OSError as error:
            text = _(
                "{command} could not be run: {error}", command=self.compose.command[0], error=error.strerror or error
            )
            self.failure = Failure("", Reason(text))
        except Exception as error:  # noqa: BLE001 - docker's errors have no common base; any of them ends the start
            self.failure = Failure("", explain.engine_reason(str(error)))

    def _remove_disconnected(self) -> None:
        """A stopped container whose network was removed cannot be started any more: compose must recreate it."""
        api = self.monitor.client.api
        containers = (self._containers_before or {}).values()
        stopped = [container for container in containers if not container.is_running and container.network_ids]
        networks = {network["Id"] for network in api.networks()} if stopped else set()
        for container in stopped:
            if container.network_ids - networks:
                api.remove_container(container.id)

    def _is_already_up(self) -> bool:
        """All services run at the ports that the file asks for, and the one-shots have exited with 0."""
        for service in self.file.services:
            container = self.monitor.get(service.name)
            if container is None:
                return False
            if service.one_shot and container.state == "exited" and container.exit_code == 0:
                continue
            if not container.is_running or {port.published for port in service.ports} != container.published:
                return False
        return True

    async def _pull_images(self) -> None:
        missing = await self.monitor.call(lambda: find_missing(self.monitor.client, self.file.services))
        pulls = {service.image: Pull(service.image, service.platform) for service in missing if service.may_pull}
        self._pulls = pulls
        if not pulls:
            return
        began, earlier = time.monotonic(), self.pulling_s

        async def run(pull: Pull) -> None:
            await self.monitor.call(lambda: pull.run(self.monitor.client))
            del pulls[pull.image]

        tasks = [asyncio.create_task(run(pull)) for pull in list(pulls.values())]
        try:
            pending = set(tasks)
            while pending:
                done, pending = await asyncio.wait(pending, timeout=1.0, return_when=asyncio.FIRST_EXCEPTION)
                self.pulling_s = earlier + time.monotonic() - began
                for task in done:
                    task.result()
        finally:
            for pull in pulls.values():
                pull.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _explain_compose(self, output: str) -> Failure:
        failure = explain.compose_failure(output, self.monitor.all())
        return Failure(failure.service, self.explain_error(failure.reason.text), failure.is_shown_by_service)

    def explain_error(self, text: str) -> Reason:
        """What an error of the engine means; for a taken port, who has it."""
        port = explain.port_of(text)
        return Reason(self.describe_taken_port(port)) if port is not None else explain.engine_reason(text)

    # --- one container -----------------------------------------------------------------------------------------------

    async def start(self, service: str, run_id: str) -> Reason:
        """Start the service's container again, or recreate it if it cannot be started. NONE, or why that failed."""
        while True:
            await self.monitor.refresh()
            container = self.monitor.get(service)
            if self.monitor.error:
                await self.monitor.wait_for_refresh()
                continue
            if container is not None and (container.is_running or container.state == "restarting"):
                return NONE
            if not await self._engine_accepts_connections():
                await asyncio.sleep(_RETRY_INTERVAL)
                continue
            if container is not None and await self._start_existing(container):
                return NONE
            # Compose does not notice that a container has lost its network.
            recreate = ["--force-recreate"] if container is not None and not container.has_network else []
            self._lock = self._lock or asyncio.Lock()
            async with self._lock:  # two at once would both try to create the network
                arguments = ["up", "-d", "--no-deps", *recreate, service]
                code, output = await self.compose.run(arguments, self.log_dir, {"MIKA_RUN_ID": run_id})
            await self.monitor.refresh()
            if code == 0:
                return NONE
            if not self.monitor.error and await self._engine_accepts_connections():
                return self._explain_compose(output).reason

    async def _engine_accepts_connections(self) -> bool:
        """An engine that is shutting down still answers on open connections, but accepts no new ones.

        It would even start a container, and then wait for it to exit.
        """
        try:
            await self.monitor.call(lambda: engine.connect(self.compose.env, engine.QUICK).close())
        except engine.EngineError:
            return False
        return True

    async def _start_existing(self, container: ContainerSnapshot) -> bool:
        """False if it cannot be started, for example because its network was removed.

        Compose then recreates both, or says why it cannot.
        """
        if not container.has_network:
            return False
        try:
            await self.monitor.call(lambda: self.monitor.client.api.start(container.id))
        except Exception:  # noqa: BLE001 - docker's errors have no common base, and each means the same here
            return False
        await self.monitor.refresh()
        return True

    async def stop(self, service: Service, *, kill: bool = False) -> None:
        container = self.monitor.get(service.name)
        if container is None:
            self.monitor.request_refresh()
            return
        api = self.monitor.client.api

        def work() -> None:
            if kill:
                api.kill(container.id)
                return
            if container.state == "paused":  # a paused container would get the signal only when somebody unpauses it
                api.unpause(container.id)
            api.stop(container.id, timeout=max(1, round(service.grace)))

        with contextlib.suppress(Exception):  # it has exited meanwhile, or the engine is gone: the next refresh shows
            await self.monitor.call(work)
        self.monitor.request_refresh()
