"""What the checks share: each fact is found out once, at the first time a check wants it, while all checks run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from mika import address
from mika.config.load import Config
from mika.config.process_options import parse_ready
from mika.control.client import Client
from mika.diagnosis.model import FRESH, FRESH_EMBEDDED, ProcessState, Surroundings, WorkerCommands
from mika.diagnosis.survey import find_workers
from mika.diagnosis.temporal import CallError, Temporal, call_error
from mika.diagnosis.untaken import pid_of
from mika.doctor import server
from mika.errors import MikaError, NotRunningError, UsageError
from mika.machine import http
from mika.machine.local import in_thread, is_this_machine, process_state
from mika.machine.ports import Listener, find_other_stack, listeners
from mika.procfile import entries as procfile
from mika.project.folder import ProjectDir, RunState
from mika.status import StackStatus, UnitStatus

T = TypeVar("T")

_HUNG_BEAT = 3.0
_SUPERVISED = re.compile(r"(?P<name>[^@]+)@(?P<run>[0-9a-f]{16})-(?P<generation>\d+)")


class Examination:
    """One run of the checks in one project."""

    def __init__(self, config: Config, folder: ProjectDir, *, llm: bool = False) -> None:
        self.config, self.folder, self.llm = config, folder, llm
        self.host, self.port = config.text("TEMPORAL_HOST"), config.port("TEMPORAL_PORT")
        self.namespace, self.queue = config.text("TEMPORAL_NAMESPACE"), config.text("TEMPORAL_TASK_QUEUE")
        self.client = Client(folder)
        self.run: RunState | None = folder.read_state()
        self._known: dict[str, asyncio.Task[Any]] = {}

    def once(self, name: str, find: Callable[[], Awaitable[T]]) -> Awaitable[T]:
        async def work() -> T:
            return await find()

        if name not in self._known:
            self._known[name] = asyncio.ensure_future(work())
        return asyncio.shield(self._known[name])  # one check's deadline must not take the answer from the others

    async def close(self) -> None:
        for task in self._known.values():
            task.cancel()
        await asyncio.gather(*self._known.values(), return_exceptions=True)

    # --- the project -------------------------------------------------------------------------------------------------

    @property
    def backend(self) -> str:
        """`docker`, `embedded`, `external` or `none`; empty when nothing ever ran here and `auto` has not decided."""
        if self.run is not None:
            return self.run.backend
        wanted = self.config.text("MIKA_BACKEND")
        return wanted if wanted != "auto" else self.folder.last_backend() or ""

    @property
    def wants_temporal(self) -> bool:
        """With `none` there is no Temporal, unless somebody says where it is."""
        names = ("TEMPORAL_HOST", "TEMPORAL_PORT", "TEMPORAL_NAMESPACE", "TEMPORAL_TASK_QUEUE")
        return self.backend != "none" or any(self.config.settings[name].origin != "default" for name in names)

    def entries(self) -> list[procfile.Entry]:
        """Of the Procfile; empty when it is missing or broken, which is the business of `config`."""
        with contextlib.suppress(UsageError):
            return procfile.read(self.config.project / "Procfile")
        return []

    def types(self, kind: str) -> list[str]:
        """Names in the Procfile that are workers (`kind` worker) or are the API (`kind` api)."""
        found = []
        for entry in self.entries():
            ready = self.config.process(entry.name).ready
            if entry.name == kind or (kind == "worker" and ready and parse_ready(ready).kind == "worker"):
                found.append(entry.name)
        return found

    @property
    def ui_url(self) -> str:
        return address.http_url(self.host, self.config.port("TEMPORAL_UI_PORT"))

    # --- the supervisor ----------------------------------------------------------------------------------------------

    def supervisor(self) -> Awaitable[StackStatus | MikaError | None]:
        """Its status; the error when it holds the lock and does not answer; None when there is none."""
        return self.once("supervisor", self._supervisor)

    async def _supervisor(self) -> StackStatus | MikaError | None:
        try:
            return await in_thread(self.client.status)
        except NotRunningError:
            return None
        except MikaError as error:
            return error

    async def status(self) -> StackStatus | None:
        answer = await self.supervisor()
        return answer if isinstance(answer, StackStatus) else None

    async def processes(self, kind: str) -> tuple[UnitStatus, ...]:
        """The supervised processes that are workers, or the API."""
        status = await self.status()
        return status.of_types(self.types(kind)) if status is not None else ()

    # --- this machine ------------------------------------------------------------------------------------------------

    def listeners(self) -> Awaitable[dict[int, Listener]]:
        return self.once("listeners", lambda: in_thread(listeners))

    # --- Temporal ----------------------------------------------------------------------------------------------------

    async def _server(self) -> server.Server:
        found = await server.look(self.host, self.port, self.namespace)
        if not found.up or self.backend == "external" or await self.supervisor() is not None:
            return found
        other = await in_thread(lambda: find_other_stack(self.host, self.port, self.config.project))
        detail = f"the one that answers there is that of the stack in {other}"
        return replace(found, state="foreign", detail=detail) if other else found

    def server(self) -> Awaitable[server.Server]:
        return self.once("server", self._server)

    async def temporal(self) -> Temporal:
        """For questions about the configured namespace. Raises RuntimeError where there is no server."""
        return (await self.server()).temporal

    def namespace_error(self) -> Awaitable[str | None]:
        """None when the namespace can be used; an empty string when it does not exist; else what the server says."""
        return self.once("namespace", self._namespace_error)

    async def _namespace_error(self) -> str | None:
        from temporalio.service import RPCError

        try:
            await (await self.temporal()).describe_namespace()
        except RPCError as error:
            return "" if call_error(error) == CallError.NOT_FOUND else str(error)
        return None

    def surroundings(self) -> Awaitable[Surroundings]:
        """The workers and the settings that a diagnosis needs. Needs a server with the namespace."""
        return self.once("surroundings", self.surroundings_with)

    async def surroundings_with(self, also: Sequence[str] = ()) -> Surroundings:
        """The workers of our queue and of those in `also`; where one has none, also those that poll elsewhere."""
        known = Surroundings(
            namespace=self.namespace,
            queue=self.queue,
            run_timeout=self.config.number("WORKFLOW_RUN_TIMEOUT"),
            execution_timeout=self.config.number("WORKFLOW_EXECUTION_TIMEOUT"),
            worker=await self._worker_commands(),
        )
        return await find_workers(
            await self.temporal(),
            known,
            fresh=FRESH_EMBEDDED if self.backend == "embedded" else FRESH,
            now=time.time() + await self.skew(),
            process=self._process_states(await self.status()),
            also=also,
        )

    async def _worker_commands(self) -> WorkerCommands:
        """Those that fit how this stack was started."""
        supervised = await self.processes("worker")
        if supervised:
            name = supervised[0].name
            return WorkerCommands((f"mika start {name}",), (f"mika restart {name}",), logs=f"mika logs {name}")
        by_hand = next((entry.command for entry in self.entries() if entry.name in self.types("worker")), "")
        up = ("mika up",) if await self.status() is None else ("mika down", "mika up")
        return WorkerCommands(up, by_hand=by_hand)

    def _process_states(self, status: StackStatus | None) -> Callable[[str], ProcessState]:
        """What this machine knows about a worker by its identity: the server's list keeps a killed one for minutes."""
        pids = {process.name: process.pid for process in status.processes} if status is not None else {}

        def state(identity: str) -> ProcessState:
            supervised = _SUPERVISED.fullmatch(identity)
            if supervised:
                if self.run is None or supervised["run"] != self.run.run_id or supervised["name"] not in pids:
                    return "gone" if supervised["run"] in self.folder.marks() else ""
                pid = pids[supervised["name"]]
                if pid is None:
                    return "gone"
                return process_state(pid) or self._beat(supervised["name"])
            pid = pid_of(identity)
            return process_state(pid) if pid and is_this_machine(identity.partition("@")[2]) else ""

        return state

    def _beat(self, name: str) -> ProcessState:
        try:
            age = time.time() - (self.folder.run / f"{name}.beat").stat().st_mtime
        except OSError:
            return ""
        return "hung" if age > _HUNG_BEAT else ""

    async def skew(self) -> float:
        """Seconds that the server's clock is ahead of ours; 0 where nobody tells."""
        found = await self.ui()
        date = found.headers.get("date", "")
        if found.kind != "http" or not date:
            return 0.0
        with contextlib.suppress(ValueError):
            ahead = parsedate_to_datetime(date).timestamp() + 0.5 - time.time()  # the header has whole seconds
            return ahead if abs(ahead) > 2.0 else 0.0
        return 0.0

    def ui(self) -> Awaitable[http.Answer]:
        # `/` answers before the UI reaches the server; this does not.
        return self.once("ui", lambda: http.get(f"{self.ui_url}/api/v1/cluster-info"))

    # --- the API -----------------------------------------------------------------------------------------------------

    def health(self) -> Awaitable[http.Answer]:
        return self.once("health", lambda: http.get(self.health_url))

    @property
    def health_url(self) -> str:
        """Where the API says that it is up; the project may name another place."""
        for name in self.types("api"):
            ready = self.config.process(name).ready
            if ready and parse_ready(ready).kind == "http":
                return parse_ready(ready).target
        return f"{self.config.api_url}/healthz"

    async def dependency(self, name: str) -> dict[str, Any]:
        """What the bot's API says about one of its dependencies at `/readyz`; empty when it says nothing."""
        part = (await self.once("readiness", self._readiness)).get(name)
        return part if isinstance(part, dict) else {}

    async def _readiness(self) -> dict[str, Any]:
        if (await self.health()).kind != "http":
            return {}
        return (await http.get(f"{self.config.api_url}/readyz", 3.0)).json

    def bot_environment(self, name: str) -> str:
        """A variable as the bot's processes get it, that is no setting of mika."""
        return os.environ.get(name) or self.config.dotenv.get(name, "")
