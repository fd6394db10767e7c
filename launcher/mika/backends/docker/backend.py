"""The services of the project's compose file, each in its container, as units of the supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TYPE_CHECKING

from mika import address
from mika.backends.base import Backend, ContainerCleanup, temporal_probe
from mika.backends.docker import cleanup, owner, services
from mika.backends.docker.monitor import Monitor, by_service, list_containers
from mika.backends.docker.ownership import Ownership
from mika.backends.docker.probes import MongoProbe
from mika.backends.docker.project import Project
from mika.backends.docker.run import ContainerRun
from mika.backends.docker.services import ComposeFile, Port, Service
from mika.backends.docker.watching import ContainerWatch
from mika.config import compose_file
from mika.config.load import Config
from mika.containers import compose, engine
from mika.containers.compose import Compose
from mika.detect import compose_text
from mika.errors import MikaError, UsageError
from mika.machine import ports
from mika.project.folder import ProjectDir
from mika.supervisor.policy import Rules
from mika.supervisor.unit import Launch, Unit
from mika.wording import _, listed

if TYPE_CHECKING:
    from docker import DockerClient

_RETRY_INTERVAL = 0.5
_PORT_VARIABLES = {
    "temporal": "TEMPORAL_PORT",
    "temporal-ui": "TEMPORAL_UI_PORT",
    "mongodb": "MONGO_PORT",
    "postgresql": "POSTGRES_PORT",
}


class Docker(Backend):
    """`docker compose` for the services of `file`, with readiness, restarts and reasons."""

    name = "docker"

    def __init__(self, config: Config, folder: ProjectDir, program: Compose, file: ComposeFile) -> None:
        self._config, self._folder = config, folder
        self._env = program.env
        self._compose, self.file = program, file
        self._probe = temporal_probe(config)
        self._mongo = {service.name: MongoProbe(service) for service in self.file.services if service.role == "mongodb"}
        self._project: Project | None = None
        self._runs: dict[str, ContainerRun] = {}
        self._client: DockerClient | None = None

    # --- before anything is started ----------------------------------------------------------------------------------

    async def preflight(self, say: Callable[[str], None]) -> None:
        """Wait for an engine that is starting, and check what can be checked before a start. Raises MikaError."""
        self._client = client = await self._connect(say)
        existing = by_service(await asyncio.to_thread(list_containers, client, self.file.project))
        owner.check_project(self.file.project, existing.values(), self._compose.folder)
        for service in self.file.services:
            container = existing.get(service.name)
            if container is not None and container.state == "paused":
                raise UsageError(
                    _("the container {name} is paused", name=container.name),
                    _("`docker unpause {name}`, then `mika up` again", name=container.name),
                )
            if (container is None or not container.is_running) and engine.is_local(client):
                await self._check_ports(service)
        ownership = Ownership(self._folder)
        if not existing and not ownership.has_record and not self._folder.has_used_compose():
            await asyncio.to_thread(self._report_volumes, say)
        ownership.begin(existing.values(), [service.name for service in self.file.services])
        ownership.save()
        self._folder.remember_compose()
        self._project = Project(
            compose=self._compose,
            file=self.file,
            monitor=Monitor(client, self.file.project, self._env),
            ownership=ownership,
            log_dir=self._folder.logs,
            log_max_bytes=int(self._config.number("MIKA_LOG_MAX_MB") * 1e6),
            describe_taken_port=self._describe_taken_port,
        )

    async def _check_ports(self, service: Service) -> None:
        """Raise UsageError if a port of the service is taken."""
        for port in service.ports:
            if not await asyncio.to_thread(is_free, port):
                raise UsageError(
                    self._describe_taken_port(port.published),
                    self._way_out(service, port),
                    code="port_taken",
                )

    def _report_volumes(self, say: Callable[[str], None]) -> None:
        """Compose names a project after the last part of its folder, so two folders may share data by accident."""
        assert self._client is not None  # noqa: S101 - preflight has connected
        if volumes := cleanup.list_volumes(self._client, self.file.project):
            say(
                _(
                    "using existing volumes of the compose project '{project}' ({names});"
                    " if you do not want that, set COMPOSE_PROJECT_NAME=another-name in .env",
                    project=self.file.project,
                    names=listed(volumes),
                )
            )

    async def _connect(self, say: Callable[[str], None]) -> DockerClient:
        deadline = time.monotonic() + self._config.number("MIKA_TIMEOUT")
        is_announced = False
        while True:
            try:
                return await asyncio.to_thread(engine.connect, self._env, engine.PATIENT)
            except engine.EngineError as error:
                is_starting = error.is_transient and await asyncio.to_thread(engine.is_starting, self._env)
                if not is_starting or time.monotonic() >= deadline:
                    raise
                if not is_announced:
                    say(_("waiting for Docker, which is starting"))
                    is_announced = True
            await asyncio.sleep(_RETRY_INTERVAL)

    def _describe_taken_port(self, port: int) -> str:
        assert self._client is not None  # noqa: S101 - preflight has connected
        users = [service for service in self.file.services if any(p.published == port for p in service.ports)]
        taken_by = owner.of_port(self._client, port, self.file.project)
        if not users:
            return _("port {port} is taken by {owner}", port=port, owner=taken_by)
        variable = self._port_variable(users[0]) or users[0].name
        return _("port {port} ({variable}) is taken by {owner}", port=port, variable=variable, owner=taken_by)

    def _way_out(self, service: Service, port: Port) -> str:
        """What to do when its port is taken."""
        if variable := self._port_variable(service):
            own = tuple(each.published for other in self.file.services for each in other.ports)
            place = _("the environment") if variable in os.environ else ".env"
            setting = ports.PortSetting(variable, port.published, place, own)
            return _("stop it, or {change}", change=ports.how_to_change(_host(port), setting))
        return _("stop it, or give {name} another port", name=service.name)

    def _port_variable(self, service: Service) -> str:
        """By which the compose file lets the user choose the service's port; empty if it does not."""
        variable = _PORT_VARIABLES.get(service.role, "")
        files = compose_file.paths(self._config.project, self._env)
        return variable if variable and any(variable.encode() in file.read_bytes() for file in files) else ""

    # --- units for the supervisor ------------------------------------------------------------------------------------

    def units(self) -> list[Unit]:
        return [self._unit(service) for service in self.file.services]

    def _unit(self, service: Service) -> Unit:
        watch = ContainerWatch(service, self._service_probes(service))

        def run(launch: Launch) -> ContainerRun:
            assert self._project is not None  # noqa: S101 - preflight comes before the first start
            container_run = ContainerRun(self._project, service, launch)
            watch.follow(self._project, container_run)
            self._runs[service.name] = container_run
            return container_run

        return Unit(
            name=service.name,
            type=service.role or service.name,
            role="service",
            kind="container",
            address=", ".join(address.join(address.reachable(p.host), p.published) for p in service.ports),
            run=run,
            probes=watch.probes,
            needs=service.needs,
            # `early`: on the first start, compose itself keeps the order.
            rules=Rules(restart="on-failure" if service.may_exit else "always", early=True),
            required=service.role != "temporal-ui",
            container=watch.container_state,
            outlives_stack=lambda: self._is_foreign(service),
        )

    def _service_probes(self, service: Service) -> Mapping[str, Callable[[], Awaitable[str]]]:
        """The rungs above `running`, which ask the service itself, by name."""
        match service.role:
            case "temporal":
                queue = self._config.text("TEMPORAL_TASK_QUEUE")
                return {rung.name: rung.probe for rung in self._probe.rungs(queue)}
            case "temporal-ui":
                from mika.readiness.temporal import ui_rung

                rung = ui_rung(self.urls()["temporal_ui"])
                return {rung.name: rung.probe}
            case "mongodb":
                return {_("usable"): self._mongo[service.name].usable}
            case "postgresql":
                from mika.backends.docker.probes import postgresql

                return {_("usable"): lambda: postgresql(service)}
        return {}

    def _is_foreign(self, service: Service) -> bool:
        """Whether somebody else started its container, so that it is left running at the end."""
        project = self._project
        return project is not None and project.ownership.is_foreign(project.monitor.get(service.name))

    def environment(self) -> dict[str, str]:
        """For the processes: MONGODB_URL of the container, unless the user has set one."""
        service = self.file.with_role("mongodb")
        url = services.mongodb_url(service) if service is not None else None
        return {"MONGODB_URL": url} if url and self._config.value("MONGODB_URL") is None else {}

    def urls(self) -> dict[str, str]:
        service = self.file.with_role("temporal-ui")
        port = service.port() if service is not None else None
        return {"temporal_ui": address.http_url(port.host, port.published)} if port else {}

    def busy_seconds(self) -> float:
        """Time spent on pulling images, which does not count as start-up time of the stack."""
        return self._project.pulling_s if self._project is not None else 0.0

    def on_revived(self, start: Callable[[str], object], has_given_up: Callable[[str], bool]) -> None:
        project, runs = self._project, self._runs
        assert project is not None  # noqa: S101 - preflight comes first

        def check_for_new_starts() -> None:
            for name, run in runs.items():
                container = project.monitor.get(name)
                if run.exit is None or container is None:
                    continue
                is_new_start = container.is_running and container.start_key != project.reported_exits.get(name)
                if container.restarts == 0 and is_new_start:
                    start(name)
                elif has_given_up(name) and (is_new_start or container.state == "restarting"):
                    run.request_stop()  # otherwise the engine's restart policy would keep restarting it

        project.monitor.on_refresh = check_for_new_starts

    # --- the end -----------------------------------------------------------------------------------------------------

    async def interrupt(self) -> None:
        if self._project is not None:
            await self._project.interrupt()

    async def close(self, *, keep: bool) -> None:
        """Remove the containers that this run has stopped. With `keep`, leave everything as it is."""
        for probe in self._mongo.values():
            probe.close()
        project = self._project
        if project is not None:
            error = project.monitor.error
            await project.monitor.close()
            if not keep and not error:
                await asyncio.to_thread(self._remove, project.ownership)
        if self._client is not None:
            self._client.close()

    def _remove(self, ownership: Ownership) -> None:
        assert self._client is not None  # noqa: S101 - preflight has connected
        cleanup.take_down(self._client, self._compose, ownership, everything=False, project=self.file.project)

    def take_down(self, *, everything: bool) -> ContainerCleanup:
        """Stop and remove the containers that a killed run or `--keep-services` left; `everything`: foreign, too."""
        project = self.file.project
        with contextlib.closing(self._connect_for_cleanup()) as client:
            return cleanup.take_down(
                client, self._compose, Ownership(self._folder), everything=everything, project=project
            )

    def data_names(self) -> list[str]:
        with contextlib.closing(self._connect_for_cleanup()) as client:
            return cleanup.list_volumes(client, self.file.project)

    def _connect_for_cleanup(self) -> DockerClient:
        """Raises UsageError if the containers of this project belong to another folder."""
        client = engine.connect(self._env, engine.PATIENT)
        try:
            containers = list_containers(client, self.file.project)
            owner.check_project(self.file.project, containers, self._compose.folder)
        except BaseException:
            client.close()
            raise
        return client

    def delete_data(self) -> list[str]:
        with contextlib.closing(self._connect_for_cleanup()) as client:
            deleted = cleanup.delete_volumes(client, self._compose, self.file.project)
        Ownership(self._folder).forget()
        return deleted


def read_compose(
    config: Config, timeout: float = compose.READ_TIMEOUT, profiles: Collection[str] = ()
) -> tuple[Compose, ComposeFile]:
    """Compose, and the project's file as compose reads it. `timeout`: s for each call. `profiles` are active, too.

    Raises UsageError and MikaError.
    """
    env = compose_file.environment(config.project, config.child_env())
    if compose_file.file_of(config.project, env) is None:
        raise UsageError(
            _("there is no compose file in {folder}", folder=config.project),
            _("write a docker-compose.yml there, or use `--backend embedded`"),
        )
    if profiles:
        env["COMPOSE_PROFILES"] = ",".join(filter(None, [env.get("COMPOSE_PROFILES"), *profiles]))
    compose_text.refuse_bombs(config.project, env)
    try:
        command = compose.find(env, timeout)
    except MikaError:
        if engine.may_be_there(env):
            raise
        raise engine.EngineError(
            _("Docker is not installed here, or is not running"),
            _("install and start Docker (Desktop)"),
            code="engine_absent",
            alternative=_("use `--backend embedded`"),
        ) from None
    program = Compose(command, config.project, env)
    return program, services.parse(program.config(timeout), config)


def is_free(port: Port) -> bool:
    """Whether the engine could publish it. Raises UsageError if its host is not an address of this machine."""
    return ports.is_free(_host(port), port.published)


def _host(port: Port) -> str:
    return "0.0.0.0" if port.host in ("", "::") else port.host
