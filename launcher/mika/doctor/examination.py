"""What the checks share: each fact is found out once, when a check first asks for it, while all checks run."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar

from mika import address
from mika.config.load import Config
from mika.control.client import Client
from mika.diagnosis.model import FRESH, FRESH_EMBEDDED, ProcessState, Surroundings, WorkerCommands
from mika.diagnosis.survey import find_workers
from mika.diagnosis.temporal import Temporal
from mika.diagnosis.untaken import pid_of
from mika.doctor.server import Server, look
from mika.errors import MikaError, NotRunningError, UsageError
from mika.machine import http
from mika.machine.local import in_thread, is_this_machine, process_state
from mika.machine.ports import Listener, find_other_stack, listeners
from mika.procfile import entries as procfile
from mika.project.folder import ProjectDir, RunState
from mika.readiness.login import Login, read
from mika.status import StackStatus, UnitStatus

if TYPE_CHECKING:
    from temporalio.service import RPCError

T = TypeVar("T")

_SUPERVISOR_SECONDS = 3.0
_HUNG_BEAT = 3.0
_SUPERVISED = re.compile(r"(?P<name>[^@]+)@(?P<run>[0-9a-f]{16})-(?P<generation>\d+)")  # as the supervisor makes it


class Examination:
    """One run of the checks in one project; to be used in `async with`."""

    def __init__(self, config: Config, folder: ProjectDir, *, llm: bool = False) -> None:
        self.folder, self.llm = folder, llm
        self.client = Client(folder)
        self.run: RunState | None = folder.read_state()
        self.config = config
        self.config = config = config.for_backend(self.backend)
        self.host, self.port = config.text("TEMPORAL_HOST"), config.port("TEMPORAL_PORT")
        self.namespace, self.queue = config.text("TEMPORAL_NAMESPACE"), config.text("TEMPORAL_TASK_QUEUE")
        self.ui_url = address.http_url(self.host, config.port("TEMPORAL_UI_PORT"))
        self._facts: dict[str, asyncio.Task[Any]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._facts.values():
            task.cancel()
        await asyncio.gather(*self._facts.values(), return_exceptions=True)

    def once(self, name: str, find: Callable[[], Awaitable[T]]) -> Awaitable[T]:
        """What `find` returned when it was first asked for under this name."""

        async def work() -> T:
            return await find()

        if name not in self._facts:
            self._facts[name] = asyncio.ensure_future(work())
        return asyncio.shield(self._facts[name])  # the time limit of one check must not cancel it for the others

    @property
    def backend(self) -> str:
        """`docker`, `embedded`, `external` or `none`; empty when nothing ever ran here and `auto` has not decided."""
        if self.run is not None:
            return self.run.backend
        wanted = self.config.text("MIKA_BACKEND")
        if wanted == "auto" and self.config.is_elsewhere:
            return "external"
        return wanted if wanted != "auto" else self.folder.last_backend() or ""

    @property
    def wants_temporal(self) -> bool:
        """With `none` there is no Temporal, unless a setting says where it is."""
        names = ("TEMPORAL_HOST", "TEMPORAL_PORT", "TEMPORAL_NAMESPACE", "TEMPORAL_TASK_QUEUE")
        return self.backend != "none" or any(self.config.settings[name].origin != "default" for name in names)

    @cached_property
    def commands(self) -> Mapping[str, Mapping[str, str]]:
        """The processes of the Procfile that are a `worker` or the `api`: name and command. Empty if it is broken."""
        processes: dict[str, dict[str, str]] = {"worker": {}, "api": {}}
        with contextlib.suppress(UsageError):  # the check `config` reports it
            for entry in procfile.read(self.config.project / "Procfile"):
                # Without Temporal, a name means nothing.
                kind = entry.name if self.wants_temporal else ""
                if self.config.ready_rule(entry.name).kind == "worker":
                    kind = "worker"
                processes.get(kind, {})[entry.name] = entry.command
        return processes

    def is_asked_by_http(self, name: str) -> bool:
        """Whether a process has an address for its health; without any rule, the bot's is tried."""
        return self.config.process(name).ready == "none" or self.config.ready_rule(name).kind == "http"

    @cached_property
    def health_url(self) -> str:
        """Where the API says that it is up; the project may name another place."""
        ready = [self.config.ready_rule(name) for name in self.commands["api"]]
        return next((rule.target for rule in ready if rule.kind == "http"), f"{self.config.api_url}/healthz")

    def supervisor(self) -> Awaitable[StackStatus | MikaError | None]:
        """Its status; the error when it does not answer although it runs; None when there is none."""
        return self.once("supervisor", self._supervisor)

    async def _supervisor(self) -> StackStatus | MikaError | None:
        try:
            async with asyncio.timeout(_SUPERVISOR_SECONDS):
                return await in_thread(self.client.status)
        except TimeoutError:
            pid = self.run.pid if self.run is not None else "unknown"
            return MikaError(
                f"the supervisor (pid {pid}) does not answer within {_SUPERVISOR_SECONDS:g} s",
                f"if it stays so, kill its process (`kill {pid}`): its services then stop by themselves",
            )
        except NotRunningError:
            return None
        except MikaError as error:
            return error

    async def status(self) -> StackStatus | None:
        answer = await self.supervisor()
        return answer if isinstance(answer, StackStatus) else None

    def check_of(self, unit: UnitStatus) -> str:
        """The id of the check that says what is wrong with this unit."""
        if unit.role == "process":
            return next((kind for kind, processes in self.commands.items() if unit.type in processes), "stack")
        if unit.kind == "container":
            return "docker"
        return {"temporal": "temporal", "temporal-ui": "ui"}.get(unit.type, "stack")

    async def units(self, check_id: str) -> tuple[UnitStatus, ...]:
        """The units of the running stack that this check is about."""
        status = await self.status()
        return tuple(unit for unit in status.units if self.check_of(unit) == check_id) if status is not None else ()

    async def temporal_unit(self) -> UnitStatus | None:
        """The server as a unit of the running stack."""
        status = await self.status()
        services = status.services if status is not None else ()
        return next((unit for unit in services if unit.type == "temporal"), None)

    def login(self) -> Login:
        """Imports the SDK, so not for the event loop. Raises Hopeless for settings that cannot be used."""
        return read(self.config.login())

    def listeners(self) -> Awaitable[dict[int, Listener]]:
        return self.once("listeners", lambda: in_thread(listeners))

    def server(self) -> Awaitable[Server]:
        return self.once("server", self._server)

    async def _server(self) -> Server:
        answer = await look(self.host, self.port, self.namespace, self.config.login())
        if not answer.up or self.backend == "external" or await self.supervisor() is not None:
            return answer
        other = await in_thread(lambda: find_other_stack(self.host, self.port, self.config.project))
        if other is None:
            return answer
        return replace(answer, state="foreign", detail=f"the one that answers there is that of the stack in {other}")

    async def temporal(self) -> Temporal:
        """For questions about the configured namespace. Raises RuntimeError where there is no server."""
        return (await self.server()).temporal

    def namespace_error(self) -> Awaitable[RPCError | None]:
        """Why the namespace cannot be used; None if it can."""
        return self.once("namespace", self._namespace_error)

    async def _namespace_error(self) -> RPCError | None:
        from temporalio.service import RPCError

        try:
            await (await self.temporal()).describe_namespace()
        except RPCError as error:
            return error
        return None

    def surroundings(self) -> Awaitable[Surroundings]:
        """The workers and the settings that a diagnosis needs. Needs a server with the namespace."""
        return self.once("surroundings", self.surroundings_with)

    async def surroundings_with(self, also: Sequence[str] = ()) -> Surroundings:
        """The workers of our queue and of those in `also`; where one has none, also those that poll elsewhere."""
        known = Surroundings(
            namespace=self.namespace,
            address=address.join(self.host, self.port),
            queue=self.queue,
            run_timeout=self.config.number("WORKFLOW_RUN_TIMEOUT"),
            execution_timeout=self.config.number("WORKFLOW_EXECUTION_TIMEOUT"),
            worker=await self._worker_commands(),
        )
        status = await self.status()
        return await find_workers(
            await self.temporal(),
            known,
            fresh=FRESH_EMBEDDED if self.backend == "embedded" else FRESH,
            now=await self.server_time(),
            process=lambda identity: self._process_state(identity, status),
            also=also,
        )

    async def _worker_commands(self) -> WorkerCommands:
        """Those that fit how this stack was started."""
        if supervised := await self.units("worker"):
            name = supervised[0].name
            return WorkerCommands((f"mika start {name}",), (f"mika restart {name}",), logs=f"mika logs {name}")
        up = ("mika up",) if await self.status() is None else ("mika down", "mika up")
        return WorkerCommands(up, by_hand=next(iter(self.commands["worker"].values()), ""))

    async def worker_unit(self, identity: str) -> UnitStatus | None:
        """The unit whose worker polls under this identity."""
        match, status = _SUPERVISED.fullmatch(identity), await self.status()
        return status.unit(match["name"]) if match is not None and status is not None else None

    def _process_state(self, identity: str, status: StackStatus | None) -> ProcessState:
        """What this machine knows about a worker: the server's list keeps a killed one for minutes."""
        supervised = _SUPERVISED.fullmatch(identity)
        if supervised is None:
            pid = pid_of(identity)
            return process_state(pid) if pid and is_this_machine(identity.partition("@")[2]) else ""
        unit = status.unit(supervised["name"]) if status is not None else None
        if self.run is None or supervised["run"] != self.run.run_id or unit is None:
            return "gone" if supervised["run"] in self.folder.marks() else ""
        return (process_state(unit.pid) or self._beat(unit.name)) if unit.pid is not None else "gone"

    def _beat(self, name: str) -> ProcessState:
        with contextlib.suppress(OSError):
            if time.time() - (self.folder.run / f"{name}.beat").stat().st_mtime > _HUNG_BEAT:
                return "hung"
        return ""

    async def server_time(self) -> float:
        """The server's time, in seconds since the epoch."""
        return time.time() + await self.skew()

    async def skew(self) -> float:
        """Seconds that the server's clock is ahead of ours; 0 if that is unknown, or less than it takes to measure."""
        answer = await self.ui()
        with contextlib.suppress(ValueError):
            # The header has whole seconds.
            ahead = parsedate_to_datetime(answer.headers.get("date", "")).timestamp() + 0.5 - time.time()
            return ahead if abs(ahead) > 2.0 else 0.0
        return 0.0

    def ui(self) -> Awaitable[http.Answer]:
        # `/` answers before the UI reaches the server; this does not.
        return self.once("ui", lambda: http.get(f"{self.ui_url}/api/v1/cluster-info"))

    def health(self) -> Awaitable[http.Answer]:
        return self.once("health", lambda: http.get(self.health_url))

    async def dependency(self, name: str) -> dict[str, Any]:
        """What the bot's API says about one of its dependencies at `/readyz`; empty when it says nothing."""
        if (await self.health()).kind != "http":
            return {}
        ready = await self.once("ready", lambda: http.get(f"{self.config.api_url}/readyz", 3.0))
        part = ready.json.get(name)
        return part if isinstance(part, dict) else {}
