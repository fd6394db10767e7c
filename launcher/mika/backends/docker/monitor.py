"""Watches the project's containers: asks the engine once a second, and at once when the engine reports an event."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from mika import tasks
from mika.containers import FOLDER_LABEL, ONE_OFF_LABEL, PROJECT_LABEL, SERVICE_LABEL, engine
from mika.errors import describe
from mika.frozen import frozen
from mika.wording import _

if TYPE_CHECKING:
    from docker import DockerClient

T = TypeVar("T")
_INTERVAL = 1.0
_MAX_FAILURES = 2  # failures in a row before the engine counts as away; a refused connection counts at once
# Without exec_*: every health check causes three of those.
_EVENTS = ["create", "start", "die", "oom", "pause", "unpause", "destroy", "health_status", "stop", "rename"]


@frozen
class ContainerSnapshot:
    """A container as the engine last described it.

    `state` and `health` are the engine's own words, and `started` is its timestamp, as text.
    """

    id: str
    name: str
    service: str
    folder: str
    state: str
    health: str = ""
    started: str = ""
    exit_code: int = 0
    oom: bool = False
    error: str = ""
    has_network: bool = True
    network_ids: frozenset[str] = frozenset()
    published: frozenset[int] = frozenset()
    memory: int = 0
    """The memory limit in bytes; 0 for none."""
    health_output: str = ""
    restarts: int = 0
    """How often the engine's own restart policy has restarted it since it was last started by somebody."""

    @property
    def start_key(self) -> tuple[str, str]:
        """Identifies one start of the service: differs from one start to the next."""
        return self.id, self.started

    @property
    def is_running(self) -> bool:
        """Paused counts as running."""
        return self.state in ("running", "paused")

    @property
    def started_at(self) -> float:
        """Seconds since the epoch, by the engine's clock."""
        return datetime.fromisoformat(self.started).timestamp()


class Monitor:
    """Used in one event loop, from `start` to `close`. `error` is empty, or says why the engine does not answer."""

    def __init__(self, client: DockerClient, project: str, env: Mapping[str, str]) -> None:
        self.client, self.project = client, project
        self._env = env
        self.error = ""
        self.on_refresh: Callable[[], None] = lambda: None
        self.exit_codes: dict[str, int] = {}
        """The last exit code of each container id, from the events: a container that runs again has lost it."""
        self.stopped_ids: set[str] = set()
        """Containers that somebody has stopped, so they did not exit by themselves."""
        self._containers: dict[str, ContainerSnapshot] = {}
        self._cache: dict[str, tuple[str, ContainerSnapshot]] = {}
        self._changed_ids: set[str] = set()
        self._failures = 0
        self._refreshed = asyncio.Event()
        self._refresh_requested = asyncio.Event()
        self._closed = threading.Event()
        self._stream: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        # Not the default pool: a name lookup that hangs there must not delay a refresh.
        self._threads = ThreadPoolExecutor(16, thread_name_prefix="docker")

    def start_polling(self) -> None:
        """Ask the engine now, and then again and again."""
        if self._task is None:
            self._loop = asyncio.get_running_loop()
            threading.Thread(target=self._listen, name="docker-events", daemon=True).start()
            self._task = asyncio.create_task(self._run(), name="docker-monitor")

    async def start(self) -> None:
        """Start polling, and return after the first refresh."""
        refreshed = self._refreshed
        self.start_polling()
        await refreshed.wait()

    async def close(self) -> None:
        self._closed.set()
        with contextlib.suppress(Exception):
            self._stream.close()
        if self._task is not None:
            await tasks.cancel(self._task)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def call(self, work: Callable[[], T]) -> T:
        """Run a blocking call of the SDK in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def connect_for_stream(self) -> DockerClient:
        """A separate client. To break off a stream, the SDK closes its socket, which its pool would then use again.

        Raises EngineError.
        """
        return engine.connect(self._env, engine.PATIENT)

    def get(self, service: str) -> ContainerSnapshot | None:
        return self._containers.get(service)

    def all(self) -> list[ContainerSnapshot]:
        return list(self._containers.values())

    async def wait_for_refresh(self) -> None:
        """Return after the next refresh."""
        await self._refreshed.wait()

    def request_refresh(self) -> None:
        """Ask the engine now, without waiting for the answer."""
        self._refresh_requested.set()

    async def refresh(self) -> None:
        changed, self._changed_ids = self._changed_ids, set()
        if "" in changed or self.error:
            self._cache = {}
        try:
            self._containers = await self.call(lambda: self._list(changed))
        except Exception as error:  # noqa: BLE001 - docker's errors have no common base, and each means the same here
            self._changed_ids |= changed
            self._failures += 1
            is_absent = "Connection" in type(error).__name__ and "Timeout" not in type(error).__name__
            if is_absent or self._failures >= _MAX_FAILURES:
                self.error = _describe_outage(error)
        else:
            self._failures, self.error = 0, ""
            self.on_refresh()
        refreshed, self._refreshed = self._refreshed, asyncio.Event()
        refreshed.set()

    async def _run(self) -> None:
        while True:
            await self.refresh()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_INTERVAL):
                    await self._refresh_requested.wait()
            self._refresh_requested.clear()

    # --- in threads --------------------------------------------------------------------------------------------------

    def _list(self, changed: set[str]) -> dict[str, ContainerSnapshot]:
        entries = list_with_signatures(self.client, self.project, self._cache, changed)
        self._cache = {container.id: (signature, container) for signature, container in entries}
        return by_service([container for _signature, container in entries])

    def _listen(self) -> None:
        """Refresh early on events, and keep the exit codes. If the engine closes the stream, connect again."""
        filters = {"label": f"{PROJECT_LABEL}={self.project}", "type": "container", "event": _EVENTS}
        while not self._closed.is_set():
            with contextlib.suppress(Exception), contextlib.closing(self.connect_for_stream()) as client:
                self._stream = client.api.events(filters=filters, decode=True)
                self._handle_event("", "", None)  # anything may have happened before this stream was open
                for event in self._stream:
                    code = event.get("Actor", {}).get("Attributes", {}).get("exitCode")
                    action = str(event.get("Action", ""))
                    self._handle_event(str(event.get("id", "")), action, int(code) if code is not None else None)
            self._closed.wait(_INTERVAL)

    def _handle_event(self, container_id: str, action: str, exit_code: int | None) -> None:
        """An empty id means that any container may have changed."""

        def apply() -> None:
            self._changed_ids.add(container_id)
            if action == "stop":
                self.stopped_ids.add(container_id)
            elif action == "start":
                self.stopped_ids.discard(container_id)
            if exit_code is not None:
                self.exit_codes[container_id] = exit_code
            self.request_refresh()

        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(apply)


def list_containers(client: DockerClient, project: str) -> list[ContainerSnapshot]:
    """The containers of a compose project. Blocks."""
    return [container for _signature, container in list_with_signatures(client, project, {}, set())]


def list_with_signatures(
    client: DockerClient, project: str, cache: dict[str, tuple[str, ContainerSnapshot]], changed: set[str]
) -> list[tuple[str, ContainerSnapshot]]:
    """The project's containers, each with a signature of its entry in the list. Inspects only those that changed."""
    from docker.errors import NotFound

    entries = []
    for entry in client.api.containers(all=True, filters={"label": f"{PROJECT_LABEL}={project}"}):
        if entry["Labels"].get(ONE_OFF_LABEL) == "True" or entry["State"] == "removing":
            continue
        # The status text contains the age, so only its health is part of the signature.
        networks = (entry.get("NetworkSettings") or {}).get("Networks")
        signature = f"{entry['State']} {_health(entry['Status'])} {sorted(networks or ())}"
        cached = cache.get(entry["Id"])
        if cached is not None and cached[0] == signature and entry["Id"] not in changed:
            entries.append(cached)
            continue
        with contextlib.suppress(NotFound):
            entries.append((signature, _inspect(client, entry)))
    return entries


def by_service(containers: list[ContainerSnapshot]) -> dict[str, ContainerSnapshot]:
    """One container for each service. For a moment there may be two, because compose creates the new one before it
    removes the old one: then it is the one that runs.
    """
    candidates: dict[str, list[ContainerSnapshot]] = defaultdict(list)
    for container in containers:
        candidates[container.service].append(container)
    return {name: next((c for c in every if c.is_running), every[0]) for name, every in candidates.items()}


def _health(status: str) -> str:
    match = re.search(r"\((healthy|unhealthy|health: starting|Paused)\)", status)
    return match[1] if match else ""


def _inspect(client: DockerClient, entry: dict[str, Any]) -> ContainerSnapshot:
    attributes = client.api.inspect_container(entry["Id"])
    state, host = attributes["State"], attributes.get("HostConfig") or {}
    health = state.get("Health") or {}
    log = health.get("Log") or []
    networks = (attributes.get("NetworkSettings") or {}).get("Networks") or {}
    bindings = host.get("PortBindings") or {}
    published = [binding.get("HostPort") for every in bindings.values() for binding in every or ()]
    return ContainerSnapshot(
        id=entry["Id"],
        name=str(attributes["Name"]).lstrip("/"),
        service=entry["Labels"].get(SERVICE_LABEL, ""),
        folder=entry["Labels"].get(FOLDER_LABEL, ""),
        state=state["Status"],
        health=health.get("Status", ""),
        started=state.get("StartedAt", ""),
        exit_code=int(state.get("ExitCode", 0)),
        oom=bool(state.get("OOMKilled")),
        error=state.get("Error") or "",
        has_network=bool(networks) or host.get("NetworkMode") in ("host", "none"),
        network_ids=frozenset(filter(None, (network.get("NetworkID") for network in networks.values()))),
        published=frozenset(int(port) for port in published if port and port.isdecimal()),
        memory=int(host.get("Memory") or 0),
        restarts=int(attributes.get("RestartCount") or 0),
        health_output=" ".join(str(log[-1].get("Output", "")).split())[:200] if log else "",
    )


def _describe_outage(error: Exception) -> str:
    if "Timeout" in type(error).__name__:
        return _("the Docker engine does not answer (it hangs)")
    if "Connection" in type(error).__name__:
        return _("the Docker engine does not answer")
    return _("the Docker engine does not answer: {error}", error=describe(error))
