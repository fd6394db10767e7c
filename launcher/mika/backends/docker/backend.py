"""The services of the project's compose file, each in its container, as units of the supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from mika.backends.base import Backend, Left, temporal_probe
from mika.backends.docker import cleanup, owner, services
from mika.backends.docker.monitor import Monitor, look, one_for_each_service
from mika.backends.docker.ownership import Ownership
from mika.backends.docker.probes import MongoProbe
from mika.backends.docker.project import Project
from mika.backends.docker.run import ContainerRun
from mika.backends.docker.services import ComposeFile, Service
from mika.backends.docker.watching import Watching
from mika.config.load import Config
from mika.containers import compose, engine
from mika.containers.compose import Compose
from mika.errors import MikaError, UsageError
from mika.machine import ports
from mika.project.folder import ProjectDir
from mika.supervisor.policy import Rules
from mika.supervisor.unit import Launch, Unit

if TYPE_CHECKING:
    from docker import DockerClient

_RETRY = 0.5
_VARIABLES = {"temporal": "TEMPORAL_PORT", "temporal-ui": "TEMPORAL_UI_PORT"}
_IMAGE_VARIABLES = {"mongodb": "MONGO_PORT", "postgresql": "POSTGRES_PORT"}


class Docker(Backend):
    """`docker compose`, with readiness, restarts and reasons. Reads the compose file at once: raises UsageError."""

    name = "docker"

    def __init__(self, config: Config, folder: ProjectDir) -> None:
        self._config, self._folder = config, folder
        self._env = config.child_env()
        self._compose, self.file = read(config)
        services.check_mounts(self.file, config.project)
        self._probe = temporal_probe(config)
        self._mongo = {s.name: MongoProbe(s) for s in self.file.services if s.role == "mongodb"}
        self._project: Project | None = None
        self._runs: dict[str, ContainerRun] = {}
        self._client: DockerClient | None = None

    # --- before anything is started ----------------------------------------------------------------------------------

    async def preflight(self, say: Callable[[str], None]) -> None:
        """Wait for an engine that is starting, and find what can be known. Raises MikaError."""
        self._client = client = await self._connected(say)
        found = await asyncio.to_thread(look, client, self.file.project, {}, set())
        there = one_for_each_service([seen for _, seen in found])
        owner.check_project(self.file.project, there.values(), self._config.project)
        for service in self.file.services:
            seen = there.get(service.name)
            if seen is not None and seen.state == "paused":
                raise UsageError(
                    f"the container {seen.name} is paused", f"`docker unpause {seen.name}`, then `mika up` again"
                )
            if (seen is None or not seen.runs) and engine.is_local(client):
                for port in service.ports:
                    if not await asyncio.to_thread(ports.is_free, _bindable(port.host), port.published):
                        raise UsageError(
                            self._who_has(port.published),
                            f"stop it, or set {self._variable(service, port.target)} in .env to another port",
                            code="port_taken",
                        )
        owned = Ownership(self._folder)
        if not found and not owned.known and self._folder.last_backend() != self.name:
            await asyncio.to_thread(self._tell_of_volumes, say)
        owned.begin(there.values())
        owned.remember(self.file.project)
        self._project = Project(
            compose=self._compose,
            file=self.file,
            monitor=Monitor(client, self.file.project, self._env),
            owned=owned,
            log_dir=self._folder.logs,
            log_max_bytes=int(self._config.number("MIKA_LOG_MAX_MB") * 1e6),
            who_has=self._who_has,
        )

    def _tell_of_volumes(self, say: Callable[[str], None]) -> None:
        """Compose names a project by its folder's last part, so two folders may share their data and not know it."""
        assert self._client is not None  # noqa: S101 - preflight has connected
        if volumes := cleanup.volumes(self._client, self.file.project):
            say(
                f"the volumes of the compose project '{self.file.project}' are there already, and are used"
                f" ({', '.join(volumes)}); not meant? set COMPOSE_PROJECT_NAME=another-name in .env"
            )

    async def _connected(self, say: Callable[[str], None]) -> DockerClient:
        deadline = time.monotonic() + self._config.number("MIKA_TIMEOUT")
        waited = False
        while True:
            try:
                return await asyncio.to_thread(engine.connect, self._env, engine.PATIENT)
            except engine.EngineError as error:
                starting = error.may_pass and await asyncio.to_thread(engine.is_starting, self._env)
                if not starting or time.monotonic() >= deadline:
                    raise
                if not waited:
                    say("waiting for Docker, which is starting")
                    waited = True
            await asyncio.sleep(_RETRY)

    def _who_has(self, port: int) -> str:
        assert self._client is not None  # noqa: S101 - nothing asks before there is one
        ours = [(s, p.target) for s in self.file.services for p in s.ports if p.published == port]
        variable = f" ({self._variable(*ours[0])})" if ours else ""
        return f"port {port}{variable} is taken by {owner.of_port(self._client, port, self.file.project)}"

    @staticmethod
    def _variable(service: Service, target: int) -> str:
        return (_VARIABLES | _IMAGE_VARIABLES).get(service.role) or f"the port of {service.name} (to {target})"

    # --- what the supervisor runs ------------------------------------------------------------------------------------

    def units(self) -> list[Unit]:
        return [self._unit(service) for service in self.file.services]

    def _unit(self, service: Service) -> Unit:
        watching = Watching(service, self._usable(service))

        def run(launch: Launch) -> ContainerRun:
            assert self._project is not None  # noqa: S101 - preflight comes before the first start
            started = ContainerRun(self._project, service, launch)
            watching.follow(self._project, started)
            self._runs[service.name] = started
            return started

        port = service.port()
        return Unit(
            name=service.name,
            type=service.role or service.name,
            role="service",
            kind="container",
            address=", ".join(f"{services.reachable(p.host)}:{p.published}" for p in service.ports) if port else "",
            run=run,
            probes=watching.probes,
            needs=service.needs,
            # Compose keeps the order of the first start.
            rules=Rules(restart="on-failure" if service.may_end else "always", early=True),
            required=service.role != "temporal-ui",
            container=watching.container,
            outlives_stack=lambda: self._stays(service),
        )

    def _usable(self, service: Service) -> Mapping[str, Callable[[], Awaitable[str]]]:
        """The rungs over `running` that ask the service itself, by name."""
        match service.role:
            case "temporal":
                queue = self._config.text("TEMPORAL_TASK_QUEUE")
                return {rung.name: rung.probe for rung in self._probe.rungs(queue)}
            case "temporal-ui":
                from mika.readiness.temporal import ui_rung

                rung = ui_rung(self.urls()["temporal_ui"])
                return {rung.name: rung.probe}
            case "mongodb":
                return {"usable": self._mongo[service.name].usable}
            case "postgresql":
                from mika.backends.docker.probes import postgresql

                return {"usable": lambda: postgresql(service)}
        return {}

    def _stays(self, service: Service) -> bool:
        """What somebody else started is left running at the end."""
        project = self._project
        return project is not None and project.owned.is_foreign(project.monitor.get(service.name))

    def environment(self) -> dict[str, str]:
        """MONGODB_URL of the container for the processes, unless the user gave one."""
        service = self.file.with_role("mongodb")
        url = services.mongodb_url(service) if service is not None else None
        return {"MONGODB_URL": url} if url and self._config.value("MONGODB_URL") is None else {}

    def urls(self) -> dict[str, str]:
        service = self.file.with_role("temporal-ui")
        port = service.port() if service is not None else None
        return {"temporal_ui": f"http://{services.reachable(port.host)}:{port.published}"} if port else {}

    def busy_seconds(self) -> float:
        """Time that went into pulling images: no start-up time of the stack's."""
        return self._project.pulling_s if self._project is not None else 0.0

    def on_revived(self, start: Callable[[str], object], has_given_up: Callable[[str], bool]) -> None:
        project, runs = self._project, self._runs
        assert project is not None  # noqa: S101 - preflight comes first

        def look() -> None:
            for name, run in runs.items():
                seen = project.monitor.get(name)
                if run.exit is None or seen is None:
                    continue
                runs_anew = seen.runs and seen.run != project.ended.get(name)
                if seen.restarts == 0 and runs_anew:
                    start(name)
                elif has_given_up(name) and (runs_anew or seen.state == "restarting"):
                    run.request_stop()  # else the engine's own policy would go on for ever

        project.monitor.on_look = look

    # --- the end -----------------------------------------------------------------------------------------------------

    async def interrupt(self) -> None:
        if self._project is not None:
            await self._project.interrupt()

    async def close(self, *, keep: bool) -> None:
        """Remove the containers that this run has stopped. `keep` leaves all as it is."""
        for probe in self._mongo.values():
            await probe.close()
        project = self._project
        if project is not None:
            error = project.monitor.error
            await project.monitor.close()
            if not keep and not error:
                await asyncio.to_thread(self._remove, project.owned)
        if self._client is not None:
            self._client.close()

    def _remove(self, owned: Ownership) -> None:
        assert self._client is not None  # noqa: S101 - there is a project
        cleanup.take_down(self._client, self._compose, owned, everything=False, project=self.file.project)

    def take_down(self, *, everything: bool) -> Left:
        """Stop and remove what a killed run, or `--keep-services`, has left; `everything`: foreign ones too."""
        owned = Ownership(self._folder)
        client = self._connected_for_the_end()
        try:
            return cleanup.take_down(client, self._compose, owned, everything=everything, project=self.file.project)
        finally:
            client.close()

    def data(self) -> list[str]:
        with contextlib.closing(self._connected_for_the_end()) as client:
            return cleanup.volumes(client, self.file.project)

    def _connected_for_the_end(self) -> DockerClient:
        """Raises UsageError where the containers of this project are another folder's."""
        client = engine.connect(self._env, engine.PATIENT)
        try:
            there = [seen for _, seen in look(client, self.file.project, {}, set())]
            owner.check_project(self.file.project, there, self._config.project)
        except BaseException:
            client.close()
            raise
        return client

    def delete_data(self) -> list[str]:
        client = self._connected_for_the_end()
        try:
            gone = cleanup.delete_volumes(client, self._compose, self.file.project)
        finally:
            client.close()
        Ownership(self._folder).forget()
        return gone


def read(config: Config, timeout: float = compose.READ_TIMEOUT) -> tuple[Compose, ComposeFile]:
    """Compose, and what it makes of the project's file. `timeout`: s for each call. Raises UsageError and MikaError."""
    env = config.child_env()
    if compose.file_of(config.project, env) is None:
        raise UsageError(
            f"there is no compose file in {config.project}",
            "write a docker-compose.yml there, or use `--backend embedded`",
        )
    try:
        command = compose.find(env, timeout)
    except MikaError:
        if engine.may_be_there(env):
            raise
        raise engine.EngineError(
            "Docker is not installed here, or does not run",
            "install and start Docker (Desktop), or use `--backend embedded`",
            code="engine_absent",
        ) from None
    program = Compose(command, config.project, env)
    return program, services.parse(program.config(timeout), config)


def _bindable(host: str) -> str:
    return "0.0.0.0" if host in ("", "::") else host
