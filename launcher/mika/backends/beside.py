"""Temporal from one backend, and beside it services of the compose file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from mika import address
from mika.backends import infrastructure
from mika.backends.base import Backend, ContainerCleanup
from mika.backends.docker import credentials, owner
from mika.backends.docker.backend import Docker, is_free, read_compose
from mika.backends.docker.credentials import Variable
from mika.backends.docker.monitor import by_service, list_containers
from mika.backends.docker.services import ComposeFile, check_mounts
from mika.backends.infrastructure import Plan
from mika.config.load import Config
from mika.containers import compose, engine
from mika.containers.compose import Compose
from mika.detect.compose import Choice, JudgedService
from mika.errors import MikaError, UsageError, describe
from mika.frozen import frozen
from mika.machine import ports
from mika.procfile.entries import Entry
from mika.project.folder import ProjectDir
from mika.reason import Reason
from mika.supervisor.unit import Unit
from mika.wording import _, listed

_PATIENCE = 10.0  # s, for compose to read its file


class Beside(Backend):
    """Both are started together. `services` is None if there is nothing to start.

    `named_in`: the line of the settings that asks for the services.
    """

    def __init__(self, temporal: Backend, services: Docker | None, named_in: str = "") -> None:
        self._temporal, self._services, self._named_in = temporal, services, named_in
        self._parts: list[Backend] = [temporal, *([services] if services is not None else [])]
        self.name = temporal.name
        self.needed = temporal.needed
        if services is not None:
            self.needed += tuple(service.name for service in services.file.services)

    async def preflight(self, say: Callable[[str], None]) -> None:
        await self._temporal.preflight(say)
        if self._services is not None:
            try:
                await self._services.preflight(say)
            except engine.EngineError as error:
                raise _without_services(error, self._named_in) from None

    def units(self) -> list[Unit]:
        units = [unit for part in self._parts for unit in part.units()]
        names = [unit.name for unit in units]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            raise UsageError(
                _("the compose file has a service '{name}', the name of the one that mika starts itself", name=twice),
                _('exclude it (`exclude = ["{name}"]` in mika.toml), or use `--backend docker`', name=twice),
            )
        return units

    def urls(self) -> dict[str, str]:
        return self._temporal.urls()

    def environment(self) -> dict[str, str]:
        return self._temporal.environment()

    def allow_long_tasks(self) -> bool:
        return self._temporal.allow_long_tasks()

    def busy_seconds(self) -> float:
        return sum(part.busy_seconds() for part in self._parts)

    def on_revived(self, start: Callable[[str], object], has_given_up: Callable[[str], bool]) -> None:
        for part in self._parts:
            part.on_revived(start, has_given_up)

    async def interrupt(self) -> None:
        for part in self._parts:
            await part.interrupt()

    async def close(self, *, keep: bool) -> None:
        for part in self._parts:
            await part.close(keep=keep)

    def take_down(self, *, everything: bool) -> ContainerCleanup:
        return self._services.take_down(everything=everything) if self._services else ContainerCleanup()

    def data_names(self) -> list[str]:
        return [name for part in self._parts for name in part.data_names()]

    def delete_data(self) -> list[str]:
        return [name for part in self._parts for name in part.delete_data()]


def with_services(
    temporal: Backend, config: Config, folder: ProjectDir, entries: Sequence[Entry], *, is_asked: bool = False
) -> Backend:
    """`temporal` with the services of the compose file beside it, as far as they can be started here.

    With `is_asked`, or where the settings name services, it is an error if they cannot. Raises MikaError.
    """
    plan = infrastructure.plan(config, temporal.name, entries)
    if plan.file is None:
        return temporal
    is_asked = is_asked or bool(infrastructure.named_in(config))
    if plan.file.error:
        if is_asked:
            raise UsageError(plan.file.error)
        temporal.concerns = (Reason(plan.file.error, _("until it is correct, no service of it is started")),)
        return temporal
    if not list(plan):
        both = Beside(temporal, None)
        both.left_out = left_out(plan.file.path, plan.choice)
    else:
        both = _Look(config, folder, plan, entries).beside(temporal, plan.file.path, is_asked=is_asked)
    both.known = tuple(service.name for service in plan.services)
    return both


def left_out(path: str, choice: Choice) -> str:
    return _("{file}: left out: {services}", file=path, services=choice.describe()) if choice.left_out else ""


def _without_services(error: MikaError, named_in: str) -> MikaError:
    """The same error; the way out of it is another one than for the docker backend, if the settings name services."""
    if named_in and isinstance(error, engine.EngineError):
        error.hint = _("{fix}, or remove them from `services` ({place})", fix=error.fix, place=named_in)
    return error


class _Look:
    """At the engine, for the services of a plan."""

    def __init__(self, config: Config, folder: ProjectDir, plan: Plan, entries: Sequence[Entry]) -> None:
        self._config, self._folder, self._plan, self._entries = config, folder, plan, entries
        self._env = config.child_env()

    def beside(self, temporal: Backend, path: str, *, is_asked: bool) -> Beside:
        try:
            if not is_asked and not engine.may_be_there(self._env):
                text = _("there is no Docker engine here")
                raise engine.EngineError(text, _("start Docker (Desktop)"), code="engine_absent")
            selection = select(self._config, temporal.name, self._plan, self._entries, timeout=_PATIENCE)
            dropped = {} if is_asked else self._obstacles(selection.program, selection.file)
            file = selection.file.only({service.name for service in selection.file.services} - {*dropped})
            check_mounts(file, self._config.project)
        except MikaError as error:
            if is_asked:
                raise _without_services(error, infrastructure.named_in(self._config)) from None
            both = Beside(temporal, None)
            both.left_out = left_out(path, self._plan.choice)
            both.concerns = tuple(self._missing(error))
            return both
        docker = Docker(self._config, self._folder, selection.program, file) if file.services else None
        both = Beside(temporal, docker, infrastructure.named_in(self._config))
        both.left_out = left_out(path, selection.choice)
        both.concerns = (
            *(Reason(_("{name} is not started: {why}", name=name, why=why)) for name, why in dropped.items()),
            *concerns(self._config, file, selection.all),
        )
        return both

    def _obstacles(self, program: Compose, file: ComposeFile) -> dict[str, str]:
        """Why some of the services cannot be started, by name. Raises UsageError and MikaError if none can."""
        try:
            client = engine.connect(program.env, engine.QUICK)
        except engine.EngineError as error:
            if error.is_transient and engine.is_starting(program.env):
                return {}  # it is waited for
            raise
        with contextlib.closing(client):
            try:
                existing = by_service(list_containers(client, file.project))
            except Exception as error:  # noqa: BLE001 - docker's errors have no common base
                text = _("the Docker engine does not answer: {error}", error=describe(error))
                raise engine.EngineError(text, _("restart Docker"), code="engine_hung") from None
            owner.check_project(file.project, existing.values(), program.folder)
            found: dict[str, str] = {}
            for service in file.services:
                container = existing.get(service.name)
                if container is None or not container.is_running:
                    taken = next((port.published for port in service.ports if not is_free(port)), 0)
                    if taken and engine.is_local(client):
                        by = owner.of_port(client, taken, file.project)
                        text = _("port {port} is taken by {owner}, which is used as it is", port=taken, owner=by)
                        found[service.name] = text
                elif container.state == "paused":
                    text = _("its container is paused (`docker unpause {name}`)", name=container.name)
                    found[service.name] = text
        is_changed = True
        while is_changed:
            without = {s.name: need for s in file.services for need in s.needs if need in found and s.name not in found}
            is_changed = bool(without)
            found |= {name: _("it needs {name}", name=need) for name, need in without.items()}
        return found

    def _missing(self, error: MikaError) -> Iterator[Reason]:
        """What is not there without the engine. What answers already was started by somebody else."""
        lacking = [s for s in self._plan if not s.ports or not all(map(ports.has_listener, s.ports))]
        if not lacking:
            return
        services = listed(_("{name} ({addresses})", name=s.name, addresses=_addresses(s)) for s in lacking)
        expected = [port for service in lacking for port in service.ports]
        users = infrastructure.users_of(expected, infrastructure.project_variables(self._config))
        of = _(" ({names})", names=listed(users)) if users else ""
        if len(lacking) == 1:
            text = _(
                "{service} is not started: {error}; what needs it{users} fails until it runs",
                service=services,
                error=error.message,
                users=of,
            )
        else:
            text = _(
                "{services} are not started: {error}; what needs them{users} fails until they run",
                services=services,
                error=error.message,
                users=of,
            )
        fix = error.fix if isinstance(error, engine.EngineError) else error.hint
        yield Reason(text, _("{fix}; then `mika down` and `mika up`", fix=fix) if fix else "")


def _addresses(service: JudgedService) -> str:
    return ", ".join(address.join("127.0.0.1", port) for port in service.ports) or _("no port")


@frozen
class Selection:
    """`file` has only the services that are to be started, `all` of them are what they are."""

    program: Compose
    file: ComposeFile
    all: tuple[JudgedService, ...]
    choice: Choice


def select(
    config: Config, backend: str, plan: Plan, entries: Sequence[Entry], timeout: float = compose.READ_TIMEOUT
) -> Selection:
    """The same choice as that of `plan`, from the file as compose reads it. Raises UsageError and MikaError."""
    program, file = read_compose(config, timeout, plan.profiles)
    services = infrastructure.judged(config, file.entries, entries)
    optional = plan.file.optional if plan.file is not None else ()
    choice = infrastructure.chosen(config, services, backend, optional)
    why = {**dict(plan.choice.left_out), **dict(choice.left_out)}  # compose does not show what is in no active profile
    left_out = tuple((name, text) for name, text in why.items() if name not in choice.started)
    return Selection(program, file.only(choice.started), services, replace(choice, left_out=left_out))


def concerns(config: Config, file: ComposeFile, kinds: Sequence[JudgedService]) -> Iterator[Reason]:
    """Of services that are started: what the app cannot reach, or not by the addresses in its variables."""
    known = {service.name for service in kinds if service.kind == "infrastructure" and not service.why}
    for service in file.services:
        if service.name in known and not service.ports and not service.one_shot:
            text = _("{name} publishes no port, so nothing outside of compose can reach it", name=service.name)
            yield Reason(text, _("give it `ports` in the compose file, or in its override"))
    yield from credentials.differences(file.services, _variables(config))


def _variables(config: Config) -> dict[str, Variable]:
    """Those that processes of the project have, with the place where each of them is set."""
    of_the_shell = _("environment")
    origins = {name: setting.origin for name, setting in {**config.settings, **config.extras}.items()}
    variables = {
        name: Variable(name, value, of_the_shell if name in os.environ else origins.get(name, of_the_shell))
        for name, value in {**config.dotenv, **os.environ}.items()
    }
    if url := config.text("MONGODB_URL"):
        variables["MONGODB_URL"] = Variable("MONGODB_URL", url, origins["MONGODB_URL"])
    for process, env in config.own_envs().items():
        origin = config.process_tables.get(process, process)  # without a Procfile, there is no table
        variables |= {f"{process}.{name}": Variable(name, value, origin) for name, value in env.items()}
    return variables


class Leftovers:
    """Containers and volumes of a stack that ran here: `mika down` takes them away. Compose is asked when needed."""

    def __init__(self, config: Config, folder: ProjectDir, *, ran_whole: bool, has_record: bool) -> None:
        """`ran_whole`: compose ran all services, and not only those beside a Temporal from elsewhere."""
        self._config, self._folder = config, folder
        self._ran_whole, self._has_record = ran_whole, has_record

    def take_down(self, *, everything: bool) -> ContainerCleanup:
        """Stop what has outlived its supervisor; with `everything`, also what others have started."""
        if not (everything or self._has_record or self._ran_whole):
            return ContainerCleanup()
        with self._other_hint():
            return self._containers().take_down(everything=everything)

    def data_names(self) -> list[str]:
        """The names of what `delete_data` would delete."""
        with self._other_hint():
            return self._containers().data_names()

    def delete_data(self) -> list[str]:
        """Delete the volumes; returns what was deleted."""
        with self._other_hint():
            return self._containers().delete_data()

    @contextlib.contextmanager
    def _other_hint(self) -> Iterator[None]:
        """Without an engine, another backend would help nobody: it is used already."""
        try:
            yield
        except engine.EngineError as error:
            if not self._ran_whole:
                error.hint = error.fix
            raise

    def _containers(self) -> Docker:
        return Docker(self._config, self._folder, *read_compose(self._config, profiles=["*"]))
