"""What the Docker engine and compose say of a project that nobody supervises. Everything here blocks."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.errors import MikaError

_TIMEOUT = 3.0
_SERVICE = "com.docker.compose.service"
_FOLDER = "com.docker.compose.project.working_dir"
_ONE_OFF = "com.docker.compose.oneoff"
_NEEDS = "com.docker.compose.depends_on"
_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")  # in compose's own order
_NOISE = re.compile(r"^(time=\S+ )?(level=\S+ )?(msg=)?")


class Absent(MikaError):  # noqa: N818 - a state of the machine, told as such
    """No usable engine."""


@dataclass(frozen=True, slots=True)
class Container:
    """`status` is what `docker ps` shows."""

    service: str
    name: str
    state: str
    status: str
    one_shot: bool = False

    @property
    def is_well(self) -> bool:
        if self.state == "exited":
            return self.one_shot and self.status.startswith("Exited (0)")
        return self.state == "running" and "unhealthy" not in self.status


def containers(env: Mapping[str, str], project: Path) -> list[Container]:
    """Those of the folder's compose file, by service. Raises Absent."""
    _check_context(env)
    import docker

    try:
        client = docker.from_env(environment=dict(env), timeout=_TIMEOUT)  # type: ignore[arg-type]  # an int in the stub
    except Exception as error:  # noqa: BLE001 - docker's errors have no common base, and each means the same here
        raise _absent(error, env) from None
    try:
        listed = client.api.containers(all=True, filters={"label": _FOLDER})
        ours = [
            entry
            for entry in listed
            if Path(entry["Labels"][_FOLDER]) == project and entry["Labels"].get(_ONE_OFF) != "True"
        ]
        finished = {name for entry in ours for name in _completed(entry["Labels"].get(_NEEDS, ""))}
        return sorted((_container(client, entry, finished) for entry in ours), key=lambda one: one.service)
    except Exception as error:  # noqa: BLE001 - as above
        raise _absent(error, env) from None
    finally:
        client.close()


def _completed(needs: str) -> list[str]:
    """Services whose end is waited for, out of `a:service_completed_successfully:false,b:service_started:false`."""
    parts = [part.split(":") for part in needs.split(",")]
    return [part[0] for part in parts if part[1:2] == ["service_completed_successfully"]]


def _container(client: Any, entry: dict[str, Any], finished: set[str]) -> Container:
    service, state = entry["Labels"].get(_SERVICE, "?"), entry["State"]
    one_shot = service in finished
    if state == "exited" and not one_shot:  # the list does not tell what else makes one
        host = client.api.inspect_container(entry["Id"]).get("HostConfig") or {}
        policy = (host.get("RestartPolicy") or {}).get("Name") or "no"
        one_shot = policy == "no" and not host.get("PortBindings")
    return Container(service, entry["Names"][0].lstrip("/"), state, entry["Status"], one_shot)


def _check_context(env: Mapping[str, str]) -> None:
    """The SDK takes the default context without a word where the named one is missing; compose refuses."""
    name, where = env.get("DOCKER_CONTEXT", ""), "DOCKER_CONTEXT"
    if not name:
        file, where = Path(env.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json", "docker's config.json"
        try:
            name = str(json.loads(file.read_text(encoding="utf-8")).get("currentContext") or "")
        except (OSError, ValueError, AttributeError):
            name = ""
    if name in ("", "default") or env.get("DOCKER_HOST"):
        return
    from docker.context import ContextAPI

    try:
        known = ContextAPI.get_context(name) is not None
    except Exception:  # noqa: BLE001 - a context whose files are damaged is as good as none
        known = False
    if not known:
        raise Absent(
            f"the docker context {name!r} ({where}) does not exist",
            "`docker context ls` lists them; correct DOCKER_CONTEXT, or `docker context use default`",
        )


def _absent(error: Exception, env: Mapping[str, str]) -> Absent:
    at = f" at {env['DOCKER_HOST']}" if env.get("DOCKER_HOST") else ""
    text = " ".join(str(error).split())[:150]
    if isinstance(error, PermissionError) or "Permission denied" in text or "Access is denied" in text:
        group = "docker-users" if sys.platform == "win32" else "docker"
        return Absent(
            f"this user may not use the Docker engine{at}", f"join the group {group}, and log in again (`mika up` then)"
        )
    return Absent(f"the Docker engine{at} does not answer: {text}", "start Docker (Desktop), then `mika up`")


# --- the compose file -------------------------------------------------------------------------------------------------


def compose_error(env: Mapping[str, str], project: Path) -> tuple[str, str] | None:
    """What compose has against the project's file, and what to do; None when it is content, or cannot be asked."""
    file = env.get("COMPOSE_FILE") or next((name for name in _FILES if (project / name).is_file()), None)
    if file is None:
        return f"there is no compose file in {project}", "write a docker-compose.yml there, or `--backend embedded`"
    command = _compose(env)
    if command is None:
        return (
            "there is no docker compose on this machine",
            "install Docker's compose plugin, or `pip install 'mika[compose]'`",
        )
    done = _run([*command, "config", "--quiet"], env, project)
    if done is None or done.returncode == 0:
        return None
    lines = [_NOISE.sub("", line.strip()) for line in done.stderr.splitlines() if "level=warning" not in line]
    told = next((line for line in reversed(lines) if line), f"exit code {done.returncode}")[:200]
    told = told.replace(f"{project}/", "").replace(f"{project}\\", "")
    return (told if file in told else f"{file}: {told}"), f"mend {file}, then `mika up`"


def _compose(env: Mapping[str, str]) -> list[str] | None:
    """The plugin where there is one, else a program of its own, on PATH or beside this Python."""
    path = next((value for name, value in env.items() if name.upper() == "PATH"), None)
    docker = shutil.which("docker", path=path)
    if docker is not None:
        done = _run([docker, "compose", "version"], env, None)
        if done is not None and done.returncode == 0:
            return [docker, "compose"]
    beside = str(Path(sys.executable).parent)
    own = shutil.which("docker-compose", path=path) or shutil.which("docker-compose", path=beside)
    return [own] if own else None


def _run(command: list[str], env: Mapping[str, str], cwd: Path | None) -> subprocess.CompletedProcess[str] | None:
    """Run it to its end; None where it cannot be run or does not end in time."""
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW
    try:
        return subprocess.run(
            command,
            env=dict(env),
            cwd=cwd,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_TIMEOUT,
            creationflags=flags,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
