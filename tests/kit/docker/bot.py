"""What the tests of the Docker backend share: the project's own compose file on a real engine.

Images are the stand-ins of `tests/kit/docker/images.py`; nothing else is changed in the compose file.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException, NotFound

from tests.kit.bot import Bot
from tests.kit.docker import engine, images
from tests.kit.gomodule import BuildError
from tests.kit.machine import ROOT, FreePort, only_if_required, poll_until, require_or_skip
from tests.kit.runs import Result

SERVICES = ("mongodb", "postgresql", "temporal", "temporal-ui")
START_S = 110  # for a cold start on a busy machine
IDLE = b"idle: sleep 600\n"  # a Procfile for what is about containers alone: the bot's processes import for seconds
IMAGE = 'image: "${TEMPORAL_ADMIN_IMAGE}"'  # of a service of a test's own, in flow style
IDLER = f'{IMAGE}, entrypoint: [sleep, "600"], stop_signal: SIGKILL'  # a first process does not hear SIGTERM


@functools.cache
def obstacle() -> str:
    """Why these tests cannot run here, or an empty string."""
    if engine.answering() is None:
        return "no Docker engine answers (`python -m tests.kit.docker.engine start`)"
    client = docker.from_env(timeout=5)
    try:
        for name in images.environment().values():
            client.images.get(name)
        engine.compose_command()
    except (DockerException, BuildError, OSError) as error:
        return f"{error} (`python -m tests.kit.docker.images` builds the images)"
    finally:
        client.close()
    return ""


def need_docker() -> None:
    only_if_required("docker")
    if why := obstacle():
        require_or_skip("docker", why)


def path_with_compose() -> str:
    """PATH with compose on it, wherever the tests have it from."""
    command = engine.compose_command()
    folder = [] if len(command) > 1 else [str(Path(command[0]).parent)]
    return os.pathsep.join([*folder, os.environ["PATH"]])


def remove_containers(client: docker.DockerClient, project: str) -> None:
    """Kill and remove those of a compose project."""
    for entry in client.api.containers(all=True, filters=of_project(project)):
        with contextlib.suppress(NotFound):
            client.api.remove_container(entry["Id"], force=True, v=True)


def remove_all(client: docker.DockerClient, project: str) -> None:
    """What compose has made for a project; at once, while compose would wait for each program's end."""
    remove_containers(client, project)
    for volume in client.api.volumes(filters=of_project(project)).get("Volumes") or ():
        client.api.remove_volume(volume["Name"])
    for network in client.api.networks(filters=of_project(project)):
        client.api.remove_network(network["Id"])


def pause(container: Any) -> None:
    """As often as it takes: while a new process starts in it, a container cannot be frozen."""
    poll_until(lambda: container.pause() or True, 10, f"{container.name} is paused")


def of_project(project: str) -> dict[str, str]:
    """For a question to the engine."""
    return {"label": f"com.docker.compose.project={project}"}


class DockerBot(Bot):
    """The repository's own stack on the Docker backend. At the end no container, network or volume of it is left."""

    def __init__(self, parent: Path, **options: Any) -> None:
        need_docker()
        self._more = {name: FreePort() for name in ("MONGO_PORT", "POSTGRES_PORT")}
        # mika asks the services itself; each of the engine's health checks is a new process in the container.
        env = {**images.environment(), "PATH": path_with_compose(), "HEALTH_INTERVAL": "60s"}
        env |= {name: str(port.number) for name, port in self._more.items()}
        options.setdefault("name", f"mika-{uuid.uuid4().hex[:8]}")
        options.setdefault("backend", "docker")
        super().__init__(parent, env=env | options.pop("env", {}), **options)
        self.ports |= {name: port.number for name, port in self._more.items()}
        shutil.copy(ROOT / "docker-compose.yml", self.folder)
        shutil.copytree(ROOT / "compose", self.folder / "compose")
        self.client = docker.from_env(timeout=20)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            remove_containers(self.client, self.name)  # `mika down` would stop them one after the other
            super().__exit__(kind, error, trace)
        finally:
            remove_all(self.client, self.name)
            self.client.close()
            for port in self._more.values():
                port.release()

    # --- the engine --------------------------------------------------------------------------------------------------

    def override(self, text: str) -> None:
        self.write("docker-compose.override.yml", text)

    def small(self, services: str) -> None:
        """A compose file of these services, in flow style, and one in Temporal's place that only sleeps.

        For a start that is to fail by something else than Temporal, long before this would be missed.
        """
        self._write_compose(IDLER, services)

    def light(self, services: str = "") -> None:
        """The same with Temporal's development server, which is usable soon and needs no other container."""
        server = 'entrypoint: [temporal, server, start-dev, --headless, --ip, "0.0.0.0"]'
        self._write_compose(f"{IMAGE}, {server}", services)

    def _write_compose(self, temporal: str, services: str) -> None:
        ports = 'ports: ["127.0.0.1:${TEMPORAL_PORT}:7233"]'
        self.write("docker-compose.yml", f"services: {{temporal: {{{temporal}, {ports}}}, {services}}}\n")

    def compose(self, *args: str, check: bool = True) -> str:
        """What a person types in another terminal."""
        done = subprocess.run(
            [*engine.compose_command(), *args],
            cwd=self.folder,
            env=self.environ(),
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def container(self, service: str) -> Any:
        return self.client.containers.get(f"{self.name}-{service}-1")

    def containers(self, *, running: bool = False) -> dict[str, str]:
        """State of each container of this project by service."""
        found = self.client.api.containers(all=not running, filters=of_project(self.name))
        return {entry["Labels"]["com.docker.compose.service"]: entry["State"] for entry in found}

    def volumes(self) -> list[str]:
        found = self.client.api.volumes(filters=of_project(self.name))
        return [volume["Name"] for volume in found.get("Volumes") or ()]

    # --- mika --------------------------------------------------------------------------------------------------------

    def up(self, *args: str, timeout: float = START_S) -> Result:
        return super().up(*args, timeout=timeout)

    def refused(self, *args: str, code: int, words: str) -> Result:
        """`mika up` fails with these words, and nothing is left running."""
        result = self.mika("up", "-d", *args, timeout=START_S)
        assert result.code == code, str(result)
        assert words in result.err, str(result)
        assert "Traceback" not in result.text
        assert len([line for line in result.err.splitlines() if line.startswith("mika: ")]) == 1, str(result)
        with contextlib.suppress(DockerException):
            assert not self.containers(running=True), str(result)
        return result

    def send(self, text: str, **body: Any) -> str:
        answer = self.post(text, **body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["response"])
