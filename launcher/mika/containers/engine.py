"""The Docker engine: where it is, whether it answers, and the reason in one line if it does not."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mika.errors import MikaError
from mika.wording import _

if TYPE_CHECKING:
    from docker import DockerClient

QUICK = 2.0
"""Seconds that an engine has to answer when the user did not ask for Docker explicitly."""
PATIENT = 10.0
"""The same for an explicit `--backend docker`: Docker Desktop is slow when it wakes up from sleep."""
OLDEST_API = (1, 41)  # engine 20.10, the oldest that mika was tested with
_POOL = 16  # connections, for as many threads
_START_SECONDS = 180.0  # Docker Desktop with its virtual machine needs up to a minute on a slow disk
_ENGINE_PROGRAMS = {
    "dockerd",
    "docker desktop",
    "docker desktop.exe",
    "com.docker.backend",
    "com.docker.backend.exe",
    "colima",
    "orbstack",
}
_OTHER_BACKEND = _("use `--backend embedded`")
_NOT_FOUND_WINDOWS = "The system cannot find the file specified"


class EngineError(MikaError):
    """No engine can be used. `code`: engine_absent, _denied, _hung, _context, _old or _unusable.

    `fix` makes the engine usable; `alternative`, if there is one, does without it. The hint has both.
    """

    def __init__(self, message: str, fix: str, *, code: str, alternative: str = "") -> None:
        hint = _("{fix}, or {alternative}", fix=fix, alternative=alternative) if alternative else fix
        super().__init__(message, hint, code=code)
        self.fix = fix

    @property
    def is_transient(self) -> bool:
        """Whether an engine that is still starting fails like this."""
        return self.code in ("engine_absent", "engine_hung")


def may_be_there(env: Mapping[str, str]) -> bool:
    """Checks the file system only: without a running engine, the import of the SDK (90 ms) would be wasted."""
    if env.get("DOCKER_HOST") or _context(env):
        return True
    if sys.platform == "win32":
        return Path(r"\\.\pipe\docker_engine").exists()
    return Path("/var/run/docker.sock").exists()


def is_starting(env: Mapping[str, str]) -> bool:
    """Whether this machine's engine, or a program that starts it, was started recently (within 180 s)."""
    import psutil

    if env.get("DOCKER_HOST"):
        return False
    earliest = time.time() - _START_SECONDS
    processes = [process.info for process in psutil.process_iter(["name", "create_time"])]
    return any((p["name"] or "").lower() in _ENGINE_PROGRAMS and (p["create_time"] or 0) > earliest for p in processes)


def connect(env: Mapping[str, str], timeout: float) -> DockerClient:
    """A client whose engine has answered. `timeout` (s) also applies to every later call. Raises EngineError."""
    import docker
    from docker.errors import DockerException

    _check_context(env)
    host = env.get("DOCKER_HOST", "")
    if host.lower().startswith("ssh:"):
        raise EngineError(
            _(
                "the Docker engine at {host} is on another machine, so Temporal and MongoDB would listen there",
                host=host,
            ),
            _("unset DOCKER_HOST to use this machine's engine"),
            code="engine_unusable",
            alternative=_("use a Temporal server over there: `--backend external`"),
        )
    client = None
    try:
        # The constructor already asks for the version; what it raises is a DockerException, not an APIError.
        client = docker.from_env(environment=dict(env), timeout=timeout, max_pool_size=_POOL)  # type: ignore[arg-type]  # an int in the stub
        version = client.version()
    except (DockerException, OSError, ValueError) as error:
        if client is not None:
            client.close()
        raise _explain(error, env) from None
    api = tuple(int(part) for part in str(version.get("ApiVersion", "1.41")).split(".")[:2])
    if api < OLDEST_API:
        client.close()
        raise EngineError(
            _("the Docker engine {version} is too old", version=version.get("Version")),
            _("install 20.10 or later"),
            code="engine_old",
        )
    return client


def is_local(client: DockerClient) -> bool:
    """Whether the ports that the engine publishes are ports of this machine."""
    url = str(client.api.base_url)
    return url in ("http+docker://localhost", "http+docker://localnpipe") or "//127.0.0.1" in url


def _context(env: Mapping[str, str]) -> str:
    """The name of the current docker context; empty for the default one."""
    name = env.get("DOCKER_CONTEXT", "")
    if not name:
        folder = Path(env.get("DOCKER_CONFIG") or Path.home() / ".docker")
        try:
            name = str(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("currentContext", ""))
        except (OSError, ValueError, AttributeError):
            return ""
    return "" if name == "default" else name


def _check_context(env: Mapping[str, str]) -> None:
    """If the named context is missing, the SDK silently falls back to the default one; compose fails."""
    name = _context(env)
    if not name or env.get("DOCKER_HOST"):
        return
    from docker.context import ContextAPI

    try:
        exists = ContextAPI.get_context(name) is not None
    except Exception:  # noqa: BLE001 - a context whose files are damaged; compose fails in the same way
        exists = False
    if not exists:
        source = "DOCKER_CONTEXT" if env.get("DOCKER_CONTEXT") else _("docker's config.json")
        raise EngineError(
            _("the docker context '{name}' ({source}) does not exist", name=name, source=source),
            _("`docker context ls` lists the contexts; `docker context use default` switches to the default one"),
            code="engine_context",
        )


def _explain(error: BaseException, env: Mapping[str, str]) -> EngineError:
    host = env.get("DOCKER_HOST") or ""
    the_engine = _("the Docker engine at {host}", host=host) if host else _("the Docker engine")
    causes = list(_chain(error))
    text = " ".join(str(error).split())[:200]
    if any(isinstance(cause, PermissionError) for cause in causes) or "Access is denied" in text:
        return EngineError(_("this user may not use {engine}", engine=the_engine), _permission(), code="engine_denied")
    if any("Timeout" in type(cause).__name__ for cause in causes):
        return EngineError(
            _("{engine} does not answer: it hangs or is still starting", engine=the_engine),
            _("restart Docker (Desktop)"),
            code="engine_hung",
            alternative=_OTHER_BACKEND,
        )
    absent = any(isinstance(cause, FileNotFoundError | ConnectionError) for cause in causes)
    if absent or _NOT_FOUND_WINDOWS in text or "CreateFile" in text:
        message = _("no Docker engine answers at {host}", host=host) if host else _("no Docker engine answers")
        return EngineError(message, _("start Docker (Desktop)"), code="engine_absent", alternative=_OTHER_BACKEND)
    hint = _("correct DOCKER_HOST, or unset it") if host else _("check `docker info`")
    message = _("{engine} cannot be used: {error}", engine=the_engine, error=text)
    return EngineError(message, hint, code="engine_unusable")


def _permission() -> str:
    """How to get the permission to use the engine."""
    if sys.platform == "win32":
        return _("start Docker Desktop as this user, or join the group docker-users")
    return _("`sudo usermod -aG docker $USER`, then log in again (members of the group docker may use the engine)")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all errors behind it: causes, contexts, and those that requests and urllib3 put into `args`."""
    visited: set[int] = set()
    pending: list[BaseException] = [error]
    while pending:
        current = pending.pop()
        if id(current) in visited:
            continue
        visited.add(id(current))
        yield current
        linked = [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
        pending += [other for other in linked if isinstance(other, BaseException)]
