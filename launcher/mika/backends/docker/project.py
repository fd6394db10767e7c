"""The compose project of one `mika up`: brought up once, then each container started and stopped by itself."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mika.backends.docker import explain
from mika.backends.docker.explain import Failure
from mika.backends.docker.monitor import Monitor, Seen
from mika.backends.docker.ownership import Ownership
from mika.backends.docker.pull import Pull, PullError, missing
from mika.backends.docker.services import ComposeFile, Service
from mika.containers import engine
from mika.containers.compose import Compose
from mika.reason import NONE, Reason

WhoHas = Callable[[int], str]
_RETRY = 0.25


@dataclass(slots=True)
class Project:
    """Shared by the containers of one run. `failure` is set when compose or a pull has failed."""

    compose: Compose
    file: ComposeFile
    monitor: Monitor
    owned: Ownership
    log_dir: Path
    log_max_bytes: int
    who_has: WhoHas
    failure: Failure | None = None
    pulling_s: float = 0.0
    ended: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The run of each service that was reported as ended: the engine shows it until the next one begins."""
    _before: dict[str, Seen] | None = None
    _pulls: dict[str, Pull] | None = None
    _task: asyncio.Task[None] | None = None
    _lock: asyncio.Lock | None = None
    _interrupted: bool = False
    followed: set[str] = field(default_factory=set)
    """The services whose logs this run of mika has begun to copy."""

    # --- once --------------------------------------------------------------------------------------------------------

    async def bring_up(self, run_id: str) -> None:
        """Begin to start all that does not run. The first caller counts."""
        if self._task is None:
            self._task = asyncio.create_task(self._bring_up(run_id), name="compose-up")
            self._task.add_done_callback(lambda _: self.monitor.poke())
        await asyncio.sleep(0)

    @property
    def is_up(self) -> bool:
        """Compose has ended, well or not."""
        return self._task is not None and self._task.done()

    def before(self, service: str) -> tuple[str, str] | None:
        """The run of it that was there before compose: what is left of an earlier one proves nothing."""
        seen = (self._before or {}).get(service)
        return None if seen is None or seen.runs else seen.run

    def pull_of(self, service: Service) -> str | None:
        """What its image waits for; None when the image is there."""
        if self._pulls is None:
            return "looking"
        pull = self._pulls.get(service.image)
        return None if pull is None or service.builds else pull.progress()

    async def interrupt(self) -> None:
        """Break off a pull or a compose that still runs, and begin none."""
        self._interrupted = True
        self.monitor.begin()  # who waits for a container to end needs its looks, also where nothing had begun yet
        for pull in (self._pulls or {}).values():
            pull.stop()
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _bring_up(self, run_id: str) -> None:
        try:
            await self.monitor.start()
            self._before = {seen.service: seen for seen in self.monitor.all()}
            if self._interrupted:
                return
            if self._all_run():
                self._pulls = {}
                return
            await self._pull()
            await self.monitor.call(self._remove_cut_off)
            code, output = await self.compose.run(["up", "-d"], self.log_dir, {"MIKA_RUN_ID": run_id})
            await self.monitor.look()
            if code:
                self.failure = self._explained(output)
        except PullError as error:
            names = [service.name for service in self.file.services if service.image == error.image]
            self.failure = Failure(names[0], error.reason)
        except OSError as error:
            reason = Reason(f"{self.compose.command[0]} cannot be run: {error.strerror or error}")
            self.failure = Failure("", reason)
        except Exception as error:  # noqa: BLE001 - docker's errors have no common base; each ends the start
            self.failure = Failure("", explain.engine_reason(str(error)))

    def _remove_cut_off(self) -> None:
        """A container that was stopped when somebody removed its network cannot be started: compose makes it anew."""
        api = self.monitor.client.api
        stopped = [seen for seen in (self._before or {}).values() if not seen.runs and seen.network_ids]
        networks = {network["Id"] for network in api.networks()} if stopped else set()
        for seen in stopped:
            if seen.network_ids - networks:
                api.remove_container(seen.id)

    def _all_run(self) -> bool:
        """Nothing is to be done: all run, at the ports that are wanted, and the one-shots have done their work."""
        for service in self.file.services:
            seen = self.monitor.get(service.name)
            if seen is None:
                return False
            if service.one_shot and seen.state == "exited" and seen.exit_code == 0:
                continue
            if not seen.runs or {port.published for port in service.ports} != seen.published:
                return False
        return True

    async def _pull(self) -> None:
        needed = await missing(self.monitor, self.file.services)
        self._pulls = {service.image: Pull(service.image, service.platform) for service in needed if service.pulls}
        if not self._pulls:
            return
        began, earlier = time.monotonic(), self.pulling_s

        async def pull(one: Pull) -> None:
            await self.monitor.call(lambda: one.run(self.monitor.client))
            assert self._pulls is not None  # noqa: S101 - set above
            del self._pulls[one.image]

        tasks = [asyncio.create_task(pull(one)) for one in list(self._pulls.values())]
        try:
            waiting = set(tasks)
            while waiting:
                done, waiting = await asyncio.wait(waiting, timeout=1.0, return_when=asyncio.FIRST_EXCEPTION)
                self.pulling_s = earlier + time.monotonic() - began
                for task in done:
                    task.result()
        finally:
            for one in self._pulls.values():
                one.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _explained(self, output: str) -> Failure:
        failure = explain.compose_failure(output, self.monitor.all())
        return Failure(failure.service, self.explained(failure.reason.text), failure.told_by_service)

    def explained(self, text: str) -> Reason:
        """An error of the engine; a taken port with its owner."""
        port = explain.port_of(text)
        return Reason(self.who_has(port)) if port is not None else explain.engine_reason(text)

    # --- one container -----------------------------------------------------------------------------------------------

    async def start(self, service: str, run_id: str) -> Reason:
        """Start it again, or make it anew where it cannot be; NONE, else why that is not possible."""
        while True:
            await self.monitor.look()
            seen = self.monitor.get(service)
            if self.monitor.error:
                await self.monitor.looked()
                continue
            if seen is not None and (seen.runs or seen.state == "restarting"):
                return NONE
            if not await self._engine_stays():
                await asyncio.sleep(_RETRY)
                continue
            if seen is not None and await self._started(seen):
                return NONE
            # Compose does not see that a container has lost its network.
            anew = ["--force-recreate"] if seen is not None and not seen.networks else []
            self._lock = self._lock or asyncio.Lock()
            async with self._lock:  # two at once would both want to make the network
                arguments = ["up", "-d", "--no-deps", *anew, service]
                code, output = await self.compose.run(arguments, self.log_dir, {"MIKA_RUN_ID": run_id})
            await self.monitor.look()
            if code == 0:
                return NONE
            if not self.monitor.error and await self._engine_stays():
                return self._explained(output).reason

    async def _engine_stays(self) -> bool:
        """One that is shutting down answers on connections that it has, and takes no new ones.

        It would even start a container, and then wait for that one's end.
        """
        try:
            await self.monitor.call(lambda: engine.connect(self.compose.env, engine.QUICK).close())
        except engine.EngineError:
            return False
        return True

    async def _started(self, seen: Seen) -> bool:
        """False where its network was removed, or the like: compose makes both anew, or says why not."""
        if not seen.networks:
            return False
        try:
            await self.monitor.call(lambda: self.monitor.client.api.start(seen.id))
        except Exception:  # noqa: BLE001 - docker's errors have no common base, and each means the same here
            return False
        await self.monitor.look()
        return True

    async def stop(self, service: Service, *, kill: bool = False) -> None:
        seen = self.monitor.get(service.name)
        if seen is None:
            self.monitor.poke()
            return
        api = self.monitor.client.api

        def work() -> None:
            if kill:
                api.kill(seen.id)
                return
            if seen.state == "paused":  # the signal would wait until somebody lets it go on
                api.unpause(seen.id)
            api.stop(seen.id, timeout=max(1, round(service.grace)))

        with contextlib.suppress(Exception):  # it has ended meanwhile, or the engine has gone: the next look tells
            await self.monitor.call(work)
        self.monitor.poke()
