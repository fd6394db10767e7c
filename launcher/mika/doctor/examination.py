"""What the checks share: each fact is found out once, when a check first asks for it, while all checks run."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from mika import address
from mika.config.load import Config
from mika.control import unresponsive
from mika.control.client import Client
from mika.detect import written
from mika.diagnosis.model import Surroundings
from mika.diagnosis.survey import recent_queues
from mika.diagnosis.temporal import RPC_TIMEOUT, Temporal
from mika.doctor import processes as known
from mika.doctor.processes import Process
from mika.doctor.server import Server, look
from mika.doctor.workers import look_around
from mika.errors import MikaError, NotRunningError
from mika.machine import http
from mika.machine.local import in_thread
from mika.machine.ports import Listener, find_other_stack, listeners
from mika.project.folder import ProjectDir, RunState
from mika.readiness import webhook
from mika.readiness.login import Login, read
from mika.status import StackStatus, UnitStatus
from mika.wording import _

if TYPE_CHECKING:
    from temporalio.service import RPCError

T = TypeVar("T")

_SUPERVISOR_SECONDS = 3.0


class Examination:
    """One run of the checks in one project; to be used in `async with`."""

    def __init__(
        self, config: Config, folder: ProjectDir, *, llm: bool = False, rpc_timeout: float = RPC_TIMEOUT
    ) -> None:
        """`rpc_timeout`, in seconds, is for each question to Temporal."""
        self._given, self._rpc_timeout = config, rpc_timeout
        self.found = known.look(config, folder)
        config = written.configured(self.found, config) if self.found is not None else config
        self.folder, self.llm = folder, llm
        self.client = Client(folder)
        self.run: RunState | None = folder.read_state()
        self.config = config
        self.config = config = config.for_backend(self.backend)
        self._declared = known.declared(config, self.found)
        self.host, self.port = config.text("TEMPORAL_HOST"), config.port("TEMPORAL_PORT")
        self.namespace, self.queue = config.text("TEMPORAL_NAMESPACE"), config.text("TEMPORAL_TASK_QUEUE")
        self.ui_url = address.http_url(self.host, config.port("TEMPORAL_UI_PORT"))
        self._facts: dict[str, asyncio.Task[Any]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        for task in self._facts.values():
            task.cancel()
        await asyncio.gather(*self._facts.values(), return_exceptions=True)

    def again(self) -> Examination:
        """A new one of the same project, for who waits until something has changed."""
        return Examination(self._given, self.folder, rpc_timeout=self._rpc_timeout)

    async def later(self, status: StackStatus) -> Examination:
        """A new one for who looks again and again: over the same connection, and with the status that is known."""
        later = self.again()
        names = ("server", "namespace", "skew", "is_bot")
        facts = await asyncio.gather(self.server(), self.namespace_error(), self.skew(), self.is_bot())
        for name, fact in (*zip(names, facts, strict=True), ("supervisor", status)):
            later.once(name, partial(_known, fact))
        return later

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
    def has_own_server(self) -> bool:
        """Whether all that is on the server belongs to this project."""
        return self.backend in ("embedded", "docker")

    @property
    def wants_temporal(self) -> bool:
        """With `none` there is no Temporal, unless a setting says where it is."""
        is_there = self.found is None or bool(self.found.processes)
        return self._names_temporal or (self.backend != "none" and is_there)

    @property
    def is_new(self) -> bool:
        """Whether nothing ever ran here, and nothing says that Temporal is needed: `mika up` will find out."""
        return not (self.backend or self._names_temporal or any(process.queues for process in self._declared))

    @property
    def _names_temporal(self) -> bool:
        names = ("TEMPORAL_HOST", "TEMPORAL_PORT", "TEMPORAL_NAMESPACE", "TEMPORAL_TASK_QUEUE")
        return any(self.config.settings[name].origin != "default" for name in names)

    def processes(self) -> Awaitable[tuple[Process, ...]]:
        """Those of the Procfile and of the running stack."""
        return self.once("processes", self._processes)

    async def _processes(self) -> tuple[Process, ...]:
        status = await self.status()
        return known.with_running(self._declared, status.processes if status is not None else ())

    def queues(self) -> Awaitable[tuple[str, ...]]:
        """The task queues of this project, as far as they are known."""
        return self.once("queues", self._queues)

    async def _queues(self) -> tuple[str, ...]:
        """Those that a `ready` rule names, and the configured one, if it is more than a default.

        Without any, those that our own server has seen.
        """
        named = dict.fromkeys(queue for process in await self.processes() for queue in process.queues)
        is_set = self.config.settings["TEMPORAL_TASK_QUEUE"].origin != "default"
        if self.queue not in named and (is_set or (await self.dependency("worker")).get("queue") == self.queue):
            named[self.queue] = None
        if not named and self.has_own_server and (await self.server()).up and await self.namespace_error() is None:
            temporal = await self.temporal()
            seen = await temporal.heartbeating_queues() | await recent_queues(temporal)
            named |= dict.fromkeys(sorted(seen))
        return tuple(named)

    async def api_process(self) -> Process | None:
        """The process that says that it is well where the bot's API is to listen."""
        return next((p for p in await self.processes() if f"{p.url}/".startswith(f"{self.config.api_url}/")), None)

    def is_bot(self) -> Awaitable[bool]:
        """Whether this project has the webhook of LangBot, and with it the conventions of the bot."""
        return self.once("is_bot", self._is_bot)

    async def _is_bot(self) -> bool:
        process = await self.api_process()
        if process is None:
            return False
        if (await self.health(process.url)).kind == "http":
            return await webhook.is_spoken(self.config)
        return await in_thread(lambda: webhook.is_in_source(self.config.project))

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
                _(
                    "the supervisor (pid {pid}) does not answer within {seconds:g} s",
                    pid=pid,
                    seconds=_SUPERVISOR_SECONDS,
                ),
                unresponsive.fix_for(self.run.pid if self.run is not None else None),
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
            return known.check_of(known.rule_of(unit))
        if unit.kind == "container":
            return "docker"
        return {"temporal": "temporal", "temporal-ui": "ui"}.get(unit.type, "stack")

    async def units(self, check_id: str) -> tuple[UnitStatus, ...]:
        """The units of the running stack that this check is about."""
        status = await self.status()
        return tuple(unit for unit in status.units if self.check_of(unit) == check_id) if status is not None else ()

    async def units_named(self, *types: str) -> tuple[UnitStatus, ...]:
        """The units of the running stack that run these processes of the Procfile."""
        status = await self.status()
        return status.of_types(types) if status is not None else ()

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
        answer = await look(self.host, self.port, self.namespace, self.config.login(), self._rpc_timeout)
        if not answer.up or self.backend == "external" or await self.supervisor() is not None:
            return answer
        other = await in_thread(lambda: find_other_stack(self.host, self.port, self.config.project))
        if other is None:
            return answer
        detail = _("the one that answers there is that of the stack in {folder}", folder=other)
        return replace(answer, state="foreign", detail=detail)

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

    async def surroundings(self, queues: Iterable[str] = ()) -> Surroundings:
        """The workers and the settings that a diagnosis needs. Needs a server with the namespace.

        Of our queues and of `queues`; where one has no worker, also those that poll elsewhere.
        """
        also = sorted({*queues} - {"", *await self.queues()})
        return await self.once(f"surroundings {also}", lambda: look_around(self, also))

    async def server_time(self) -> float:
        """The server's time, in seconds since the epoch."""
        return time.time() + await self.skew()

    def skew(self) -> Awaitable[float]:
        """Seconds that the server's clock is ahead of ours; 0 if that is unknown, or less than it takes to measure."""
        return self.once("skew", self._skew)

    async def _skew(self) -> float:
        answer = await self.ui()
        with contextlib.suppress(ValueError):
            # The header has whole seconds.
            ahead = parsedate_to_datetime(answer.headers.get("date", "")).timestamp() + 0.5 - time.time()
            return ahead if abs(ahead) > 2.0 else 0.0
        return 0.0

    def ui(self) -> Awaitable[http.Answer]:
        # `/` answers before the UI reaches the server; this does not.
        return self.once("ui", lambda: http.get(f"{self.ui_url}/api/v1/cluster-info"))

    def health(self, url: str) -> Awaitable[http.Answer]:
        """What a process answers where its `ready` rule asks it."""
        return self.once(f"health {url}", lambda: http.get(url))

    async def dependency(self, name: str) -> dict[str, Any]:
        """What the bot's API says about one of its dependencies at `/readyz`; empty when it says nothing."""
        part = (await self.dependencies()).get(name)
        return part if isinstance(part, dict) else {}

    async def dependencies(self) -> dict[str, Any]:
        """The bot's whole answer at `/readyz`; empty when it gives none."""
        process = await self.api_process()
        if process is None or (await self.health(process.url)).kind != "http" or not await self.is_bot():
            return {}
        return (await self.once("ready", lambda: http.get(f"{self.config.api_url}/readyz", 3.0))).json


async def _known(fact: T) -> T:
    return fact
