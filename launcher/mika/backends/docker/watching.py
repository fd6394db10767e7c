"""The readiness ladder of a service in a container, and the check whether it still works."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from mika.backends.docker.explain import exit_reason
from mika.backends.docker.monitor import ContainerSnapshot
from mika.backends.docker.probes import HopelessError
from mika.backends.docker.project import Project
from mika.backends.docker.run import ContainerRun
from mika.backends.docker.services import Service
from mika.readiness.ladder import PROBE_TIMEOUT, Certain, NotYet, Rung, reason_of
from mika.reason import Reason, Repair
from mika.supervisor.unit import Launch
from mika.supervisor.watch import Liveness
from mika.wording import _

_LIVENESS_INTERVAL = 0.5  # s; reading the monitor's last result costs nothing
_PROBE_INTERVAL = 2.0  # s between two probes of a service that answers
_ANSWER_TIMEOUT = 0.8 * PROBE_TIMEOUT  # less, so that there is time to report what else is known about it
_REMOVED = Reason(
    _("its container was removed by somebody (`docker compose down`?)"),
    _("`mika up` recreates what is missing"),
    Repair("up"),
)


class ContainerWatch:
    """The probes of one unit. `service_probes` ask the service itself in its own protocol, by rung."""

    run: ContainerRun

    def __init__(self, service: Service, service_probes: Mapping[str, Callable[[], Awaitable[str]]]) -> None:
        self._service, self._service_probes = service, service_probes
        self._project: Project | None = None
        self._answered_at, self._answer = 0.0, ""

    def follow(self, project: Project, run: ContainerRun) -> None:
        """Watch `run` from now on."""
        self._project, self.run = project, run

    def probes(self, launch: Launch) -> tuple[list[Rung], Liveness | None]:
        """Image, created, running, and then the service's own rungs, or its health check if it has none of those.

        A service that answers in its own protocol need not wait for the next turn of its health check.
        """
        del launch
        rungs = [Rung(_("image"), self._image), Rung(_("created"), self._created)]
        if self._service.one_shot:
            return [*rungs, Rung(_("completed"), self._completed)], None
        rungs.append(Rung(_("running"), self._running))
        rungs += [Rung(name, self._probe_running(probe)) for name, probe in self._service_probes.items()]
        if not self._service_probes and self._service.has_health_check:
            rungs.append(Rung(_("healthy"), self._healthy))
        # Never "hung", so never killed: the database behind it may be hanging, or the machine below it.
        return rungs, Liveness(self._alive, interval=_LIVENESS_INTERVAL, patience=None)

    def container_state(self) -> str:
        """For `Unit.container`."""
        if self._project is None:
            return "missing"
        if self._project.monitor.error:
            return "unknown"
        container = self._project.monitor.get(self._service.name)
        if container is not None:
            is_disconnected = container.is_running and not container.has_network
            return "disconnected" if is_disconnected else container.state
        return "removed" if self._has_existed() else "missing"

    # --- rungs -------------------------------------------------------------------------------------------------------

    async def _image(self) -> str:
        assert self._project is not None  # noqa: S101 - `follow` comes first
        progress = self._project.pull_progress(self._service)
        if progress is not None:
            raise NotYet(progress)
        return self._service.image

    async def _created(self) -> str:
        container = self._current_container()
        if container is None:
            raise NotYet(_("compose has not created it yet"))
        return container.name

    async def _running(self) -> str:
        container = self._running_container()
        if not self.run.is_attached:
            raise NotYet(_("its container is {state}", state=container.state))
        return container.name

    async def _healthy(self) -> str:
        container = self._running_container()
        if container.health != "healthy":
            result = container.health_output or container.health or _("not run yet")
            raise NotYet(_("its health check: {result}", result=result))
        return _("healthy")

    async def _completed(self) -> str:
        container = self._current_container()
        is_running = container is not None and container.is_running
        raise NotYet(_("still running") if is_running else _("not started yet"))

    def _probe_running(self, probe: Callable[[], Awaitable[str]]) -> Callable[[], Awaitable[str]]:
        """`probe` for a container that must be running. A hopeless answer ends the run."""

        async def run_probe() -> str:
            self._running_container()
            try:
                return await probe()
            except HopelessError as error:
                self.run.fail(error.reason)
                raise

        return run_probe

    # --- liveness ----------------------------------------------------------------------------------------------------

    async def _alive(self) -> str:
        container = self._running_container()
        if not self._service_probes:
            if container.health == "unhealthy":
                output = container.health_output or _("no output")
                raise Certain(_("its health check fails: {output}", output=output))
            return container.health or _("running")
        if time.monotonic() - self._answered_at < _PROBE_INTERVAL:
            return self._answer
        *_others, last_probe = self._service_probes.values()
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT):
                self._answer = await last_probe()
        except HopelessError:
            raise
        except Exception as error:
            if (reason := self._visible_cause(container, error)) is not None:
                raise Certain(reason) from error
            raise
        self._answered_at = time.monotonic()
        self.run.resume_log()
        return self._answer

    def _visible_cause(self, container: ContainerSnapshot, error: Exception) -> Reason | None:
        """Why the service does not answer, if the container shows it."""
        if not container.has_network:
            name = self._service.name
            return Reason(
                _("its container was disconnected from its network by somebody"),
                _("`mika restart {name}` recreates both", name=name),
                Repair("restart", name),
            )
        if container.health == "unhealthy":
            answer = reason_of(error)
            text = _(
                "{answer}; its health check fails, too: {output}",
                answer=answer.text or _("no answer"),
                output=container.health_output,
            )
            return Reason(text, answer.fix, answer.repair)
        return None

    def _has_existed(self) -> bool:
        return self.run.is_attached or self.run.is_removed

    def _current_container(self) -> ContainerSnapshot | None:
        """The container, if there is one. Raises Certain if the engine does not answer."""
        assert self._project is not None  # noqa: S101 - `follow` comes first
        if self._project.monitor.error:
            raise Certain(self._project.monitor.error)
        return self._project.monitor.get(self._service.name)

    def _running_container(self) -> ContainerSnapshot:
        """The container, which is running. Raises Certain or NotYet if it is not."""
        container = self._current_container()
        if container is None:
            raise Certain(_REMOVED if self._has_existed() else _("there is no container yet"))
        if container.state == "paused":
            fix = _("`docker unpause {name}` resumes it", name=container.name)
            raise Certain(Reason(_("its container is paused"), fix))
        if container.state in ("exited", "restarting", "dead"):
            reason = exit_reason(container, container.exit_code)
            raise Certain(_("its container has exited: {reason}", reason=reason))
        if container.state != "running":
            raise NotYet(_("its container is {state}", state=container.state))
        return container
