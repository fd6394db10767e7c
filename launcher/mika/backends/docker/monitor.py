"""What the engine says of the project's containers: one cheap look a second, and at once when it reports an event."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from mika import tasks
from mika.containers import FOLDER, ONE_OFF, PROJECT, SERVICE, engine
from mika.readiness.ladder import describe

if TYPE_CHECKING:
    from docker import DockerClient

T = TypeVar("T")
_INTERVAL = 1.0
_MISSES = 2  # looks in a row that fail before the engine counts as away; a refused connection counts at once
# Not exec_*: every health check makes three of those.
_EVENTS = ["create", "start", "die", "oom", "pause", "unpause", "destroy", "health_status", "stop", "rename"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A container as it was at the last look. `state` and `health` in the engine's own words; `started` its text."""

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
    networks: bool = True
    network_ids: frozenset[str] = frozenset()
    published: frozenset[int] = frozenset()
    memory: int = 0
    health_output: str = ""
    restarts: int = 0
    """How often the engine's own restart policy has started it since somebody did."""

    @property
    def run(self) -> tuple[str, str]:
        """Differs from one start of the service to the next."""
        return self.id, self.started

    @property
    def runs(self) -> bool:
        return self.state in ("running", "paused")

    @property
    def started_at(self) -> float:
        """Seconds since the epoch, by the engine's clock."""
        return datetime.fromisoformat(self.started).timestamp()


class Monitor:
    """Belongs to one event loop, from `start` to `close`. `error` says that (and why) the engine does not answer."""

    def __init__(self, client: DockerClient, project: str, env: Mapping[str, str]) -> None:
        self.client, self.project = client, project
        self._env = env
        self.error = ""
        self.on_look: Callable[[], None] = lambda: None
        self.exit_codes: dict[str, int] = {}
        """The last one of each container id, as the engine reported it: a container that runs again has lost it."""
        self.stopped: set[str] = set()
        """Ids of containers that somebody has stopped: they did not end by themselves."""
        self._seen: dict[str, Seen] = {}
        self._cache: dict[str, tuple[str, Seen]] = {}
        self._changed_ids: set[str] = set()
        self._misses = 0
        self._looked = asyncio.Event()
        self._poke = asyncio.Event()
        self._closed = threading.Event()
        self._stream: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        # Not the default pool: a name lookup of somebody else that hangs there must not delay a look.
        self._threads = ThreadPoolExecutor(16, thread_name_prefix="docker")

    def begin(self) -> None:
        """Look at once, and from then on again and again."""
        if self._task is None:
            self._loop = asyncio.get_running_loop()
            threading.Thread(target=self._listen, name="docker-events", daemon=True).start()
            self._task = asyncio.create_task(self._run(), name="docker-monitor")

    async def start(self) -> None:
        """Begin, and return after the first look."""
        looked = self._looked
        self.begin()
        await looked.wait()

    async def close(self) -> None:
        self._closed.set()
        with contextlib.suppress(Exception):
            self._stream.close()
        if self._task is not None:
            await tasks.end(self._task)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def call(self, work: Callable[[], T]) -> T:
        """Run a blocking call of the SDK in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def client_for_stream(self) -> DockerClient:
        """One of its own: the SDK breaks a stream off by closing a socket, which its pool then hands to the next call.

        Raises EngineError.
        """
        return engine.connect(self._env, engine.PATIENT)

    def get(self, service: str) -> Seen | None:
        return self._seen.get(service)

    def all(self) -> list[Seen]:
        return list(self._seen.values())

    async def looked(self) -> None:
        """Return after the next look."""
        await self._looked.wait()

    def poke(self) -> None:
        """Look now."""
        self._poke.set()

    async def look(self) -> None:
        changed, self._changed_ids = self._changed_ids, set()
        if "" in changed or self.error:
            self._cache = {}
        try:
            self._seen = await self.call(lambda: self._list(changed))
        except Exception as error:  # noqa: BLE001 - docker's errors have no common base, and each means the same here
            self._changed_ids |= changed
            self._misses += 1
            absent = "Connection" in type(error).__name__ and "Timeout" not in type(error).__name__
            if absent or self._misses >= _MISSES:
                self.error = _absence(error)
        else:
            self._misses, self.error = 0, ""
            self.on_look()
        before, self._looked = self._looked, asyncio.Event()
        before.set()

    async def _run(self) -> None:
        while True:
            await self.look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_INTERVAL):
                    await self._poke.wait()
            self._poke.clear()

    # --- in threads --------------------------------------------------------------------------------------------------

    def _list(self, changed: set[str]) -> dict[str, Seen]:
        found = look(self.client, self.project, self._cache, changed)
        self._cache = {seen.id: (signature, seen) for signature, seen in found}
        return one_for_each_service([seen for _, seen in found])

    def _listen(self) -> None:
        """Let events hasten the next look, and keep exit codes. The stream ends with the engine: then again."""
        filters = {"label": f"{PROJECT}={self.project}", "type": "container", "event": _EVENTS}
        while not self._closed.is_set():
            with contextlib.suppress(Exception), contextlib.closing(self.client_for_stream()) as client:
                self._stream = client.api.events(filters=filters, decode=True)
                self._tell("", "", None)  # whatever happened before this stream was there
                for event in self._stream:
                    code = event.get("Actor", {}).get("Attributes", {}).get("exitCode")
                    action = str(event.get("Action", ""))
                    self._tell(str(event.get("id", "")), action, int(code) if code is not None else None)
            self._closed.wait(_INTERVAL)

    def _tell(self, container: str, action: str, code: int | None) -> None:
        def note() -> None:
            self._changed_ids.add(container)
            if action == "stop":
                self.stopped.add(container)
            elif action == "start":
                self.stopped.discard(container)
            if code is not None:
                self.exit_codes[container] = code
            self.poke()

        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(note)


def look(
    client: DockerClient, project: str, cache: dict[str, tuple[str, Seen]], changed: set[str]
) -> list[tuple[str, Seen]]:
    """Containers of the project, each with a signature of what the list shows. Inspects only those that changed."""
    from docker.errors import NotFound

    found = []
    for entry in client.api.containers(all=True, filters={"label": f"{PROJECT}={project}"}):
        if entry["Labels"].get(ONE_OFF) == "True" or entry["State"] == "removing":
            continue
        # The status text has the age in it, so only its health counts.
        networks = (entry.get("NetworkSettings") or {}).get("Networks")
        signature = f"{entry['State']} {_health(entry['Status'])} {sorted(networks or ())}"
        known = cache.get(entry["Id"])
        if known is not None and known[0] == signature and entry["Id"] not in changed:
            found.append(known)
            continue
        with contextlib.suppress(NotFound):
            found.append((signature, _inspected(client, entry)))
    return found


def one_for_each_service(containers: list[Seen]) -> dict[str, Seen]:
    """Compose makes the new one before it removes the old, so there may be two for a moment: the one that runs."""
    by_service: dict[str, list[Seen]] = defaultdict(list)
    for seen in containers:
        by_service[seen.service].append(seen)
    return {name: next((s for s in every if s.runs), every[0]) for name, every in by_service.items()}


def _health(status: str) -> str:
    found = re.search(r"\((healthy|unhealthy|health: starting|Paused)\)", status)
    return found[1] if found else ""


def _inspected(client: DockerClient, entry: dict[str, Any]) -> Seen:
    attributes = client.api.inspect_container(entry["Id"])
    state, host = attributes["State"], attributes.get("HostConfig") or {}
    health = state.get("Health") or {}
    log = health.get("Log") or []
    networks = (attributes.get("NetworkSettings") or {}).get("Networks") or {}
    bindings = host.get("PortBindings") or {}
    published = [b.get("HostPort") for every in bindings.values() for b in every or ()]
    return Seen(
        id=entry["Id"],
        name=str(attributes["Name"]).lstrip("/"),
        service=entry["Labels"].get(SERVICE, ""),
        folder=entry["Labels"].get(FOLDER, ""),
        state=state["Status"],
        health=health.get("Status", ""),
        started=state.get("StartedAt", ""),
        exit_code=int(state.get("ExitCode", 0)),
        oom=bool(state.get("OOMKilled")),
        error=state.get("Error") or "",
        networks=bool(networks) or host.get("NetworkMode") in ("host", "none"),
        network_ids=frozenset(filter(None, (network.get("NetworkID") for network in networks.values()))),
        published=frozenset(int(port) for port in published if port and port.isdecimal()),
        memory=int(host.get("Memory") or 0),
        restarts=int(attributes.get("RestartCount") or 0),
        health_output=" ".join(str(log[-1].get("Output", "")).split())[:200] if log else "",
    )


def _absence(error: Exception) -> str:
    text = describe(error)
    if "Timeout" in type(error).__name__:
        return "the Docker engine does not answer (it hangs)"
    return "the Docker engine does not answer" + ("" if "Connection" in type(error).__name__ else f": {text}")
