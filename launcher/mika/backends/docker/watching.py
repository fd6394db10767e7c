"""The ladder of a service in a container, and whether it still works."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from mika.backends.docker.explain import exit_reason
from mika.backends.docker.monitor import Seen
from mika.backends.docker.probes import HopelessError
from mika.backends.docker.project import Project
from mika.backends.docker.run import ContainerRun
from mika.backends.docker.services import Service
from mika.readiness.ladder import PROBE_TIMEOUT, Certain, NotYet, Rung, reason_of
from mika.reason import Reason, Repair
from mika.supervisor.unit import Launch
from mika.supervisor.watch import Liveness

_LOOK = 0.5  # s; what the monitor has seen costs nothing
_ASK = 2.0  # s between two questions to a service that answers
_ANSWER = 0.8 * PROBE_TIMEOUT  # less, so that there is time to say what else is known of it
_REMOVED = Reason(
    "its container was removed by somebody (`docker compose down`?)",
    "`mika up` makes anew what is missing",
    Repair("up"),
)


class Watching:
    """For one unit: its present run, and `usable`, the rungs that ask the service itself in its own protocol."""

    run: ContainerRun

    def __init__(self, service: Service, usable: Mapping[str, Callable[[], Awaitable[str]]]) -> None:
        self._service, self._usable = service, usable
        self._project: Project | None = None
        self._asked, self._answer = 0.0, ""

    def follow(self, project: Project, run: ContainerRun) -> None:
        self._project, self.run = project, run

    def probes(self, launch: Launch) -> tuple[list[Rung], Liveness | None]:
        """Image, created, running, and then the service's own rungs; its health check where it has none of those.

        What answers in its own protocol is not made to wait for the next turn of its health check.
        """
        del launch
        rungs = [Rung("image", self._image), Rung("created", self._created)]
        if self._service.one_shot:
            return [*rungs, Rung("done", self._done)], None
        rungs.append(Rung("running", self._running))
        rungs += [Rung(name, self._asking(probe)) for name, probe in self._usable.items()]
        if not self._usable and self._service.has_health:
            rungs.append(Rung("healthy", self._healthy))
        # Never "hung", so never killed: what hangs may be the database behind it, or the machine below it.
        return rungs, Liveness(self._alive, interval=_LOOK, patience=None)

    def container(self) -> str:
        """For `Unit.container`."""
        if self._project is None:
            return "missing"
        if self._project.monitor.error:
            return "unknown"
        seen = self._project.monitor.get(self._service.name)
        if seen is not None:
            return seen.state if seen.networks or not seen.runs else "disconnected"
        return "removed" if self._was_there() else "missing"

    # --- rungs -------------------------------------------------------------------------------------------------------

    async def _image(self) -> str:
        assert self._project is not None  # noqa: S101 - `follow` comes first
        waits = self._project.pull_of(self._service)
        if waits is not None:
            raise NotYet(waits)
        return self._service.image

    async def _created(self) -> str:
        seen = self._seen()
        if seen is None:
            raise NotYet("compose has not made it yet")
        return seen.name

    async def _running(self) -> str:
        seen = self._checked()
        if not self.run.attached:
            raise NotYet(f"its container is {seen.state}")
        return seen.name

    async def _healthy(self) -> str:
        seen = self._checked()
        if seen.health != "healthy":
            raise NotYet(f"its health check: {seen.health_output or seen.health or 'not run yet'}")
        return "healthy"

    async def _done(self) -> str:
        seen = self._seen()
        raise NotYet("runs" if seen is not None and seen.runs else "not started yet")

    def _asking(self, probe: Callable[[], Awaitable[str]]) -> Callable[[], Awaitable[str]]:
        async def ask() -> str:
            self._checked()
            try:
                return await probe()
            except HopelessError as error:
                self.run.fail(error.reason)
                raise

        return ask

    # --- is it still well --------------------------------------------------------------------------------------------

    async def _alive(self) -> str:
        seen = self._checked()
        if not self._usable:
            if seen.health == "unhealthy":
                raise Certain(f"its health check fails: {seen.health_output or 'no output'}")
            return seen.health or "running"
        if time.monotonic() - self._asked < _ASK:
            return self._answer
        *_, usable = self._usable.values()
        try:
            async with asyncio.timeout(_ANSWER):
                self._answer = await usable()
        except HopelessError:
            raise
        except Exception as error:
            if not seen.networks:
                name = self._service.name
                cut_off = Reason(
                    "its container was disconnected from its network by somebody",
                    f"`mika restart {name}` makes both anew",
                    Repair("restart", name),
                )
                raise Certain(cut_off) from error
            if seen.health == "unhealthy":
                answer = reason_of(error)
                text = f"{answer.text or 'no answer'}; its health check fails, too: {seen.health_output}"
                raise Certain(Reason(text, answer.fix, answer.repair)) from error
            raise
        self._asked = time.monotonic()
        self.run.resume_log()
        return self._answer

    def _was_there(self) -> bool:
        return self.run.attached or self.run.removed

    def _seen(self) -> Seen | None:
        assert self._project is not None  # noqa: S101 - `follow` comes first
        if self._project.monitor.error:
            raise Certain(self._project.monitor.error)
        return self._project.monitor.get(self._service.name)

    def _checked(self) -> Seen:
        """The container, which runs. Raises Certain where it does not."""
        seen = self._seen()
        if seen is None:
            raise Certain(_REMOVED if self._was_there() else "there is no container yet")
        if seen.state == "paused":
            raise Certain(Reason("its container is paused", f"`docker unpause {seen.name}` lets it go on"))
        if seen.state in ("exited", "restarting", "dead"):
            raise Certain(f"its container has exited: {exit_reason(seen, seen.exit_code)}")
        if seen.state != "running":
            raise NotYet(f"its container is {seen.state}")
        return seen
