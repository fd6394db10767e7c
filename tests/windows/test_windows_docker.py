"""The Docker backend of Windows: its Python, its SDK and its docker-compose.exe, with the real engine of Linux.

Docker Desktop has two things that are not here: the named pipe, in whose place there is a port, and the translation of
`Z:\\...` in mounts, which compose does here (COMPOSE_CONVERT_WINDOWS_PATHS, and `/z` for drive Z).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
from mika.containers import PROJECT_LABEL

from tests.kit.docker import images
from tests.kit.docker.bot import SERVICES, need_docker
from tests.kit.machine import ROOT, FreePort, poll_until
from tests.kit.windows.docker_proxy import DockerProxy
from tests.kit.windows.project import PATIENCE, WinProject
from tests.kit.windows.python import kill_tree, to_windows

PROCFILE = (
    "api: python -m uvicorn src.api.main:app --port $API_PORT\r\nworker: python -m src.workers.temporal_worker\r\n"
)
DRIVE = Path("/z")

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not hasattr(os, "geteuid") or os.geteuid() != 0, reason="drive Z wants a link in the root folder"
    ),
]


@dataclass(frozen=True)
class Engine:
    """The engine for one compose project; `host` is where Windows finds it."""

    client: docker.DockerClient
    host: str
    project: str

    @property
    def mine(self) -> dict[str, str]:
        return {"label": f"{PROJECT_LABEL}={self.project}"}

    def containers(self) -> list[Any]:
        return self.client.containers.list(all=True, filters=self.mine)

    def volumes(self) -> list[Any]:
        return self.client.volumes.list(filters=self.mine)


@pytest.fixture
def drive() -> Iterator[None]:
    made = not DRIVE.exists()
    if made:
        DRIVE.symlink_to("/")
    try:
        yield
    finally:
        if made:
            DRIVE.unlink()


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Leaving removes what is left of the compose project."""
    need_docker()
    with contextlib.closing(docker.from_env(timeout=60)) as client, DockerProxy() as proxy:
        found = Engine(client, proxy.host, f"mika-windows-{uuid.uuid4().hex[:8]}")
        try:
            yield found
        finally:
            for container in found.containers():
                container.remove(force=True)
            for thing in (*client.networks.list(filters=found.mine), *found.volumes()):
                thing.remove()


# `project` comes last, so that its stack still finds the engine when it is taken down.
@pytest.fixture
def bot(drive: None, engine: Engine, project: Any) -> Iterator[WinProject]:
    ports = {variable: FreePort() for variable in ("MONGO_PORT", "POSTGRES_PORT")}
    env = images.environment() | {variable: str(port.number) for variable, port in ports.items()}
    env |= {"COMPOSE_PROJECT_NAME": engine.project, "COMPOSE_CONVERT_WINDOWS_PATHS": "1", "DOCKER_HOST": engine.host}
    bot = project(PROCFILE, backend="docker", env=env)
    shutil.copy(ROOT / "docker-compose.yml", bot.folder)
    shutil.copytree(ROOT / "compose", bot.folder / "compose")
    try:
        yield bot
    finally:
        for port in ports.values():
            port.release()


def test_the_stack_in_containers(bot, engine):
    up = bot.mika("up", "-d", timeout=240)
    assert up.code == 0, str(up)
    services = {service["name"]: service for service in bot.status()["services"]}
    assert {name: services[name]["state"] for name in SERVICES} == dict.fromkeys(SERVICES, "ready")
    assert "I remember: 0" in bot.ok("send", "one").out

    worker = bot.pid("worker")
    engine.client.containers.get(f"{engine.project}-temporal-1").kill()
    poll_until(lambda: bot.unit("temporal")["restarts"] == 1, PATIENCE, "it is started again")
    bot.wait_ready(PATIENCE)
    assert bot.unit("temporal")["last_exit"]["reason"] == "killed by SIGKILL (exit code 137)"
    assert bot.pid("worker") == worker, "it reconnects by itself"
    assert "database temporal is ready" in bot.ok("logs", "temporal-setup").out
    bot.ok("restart", "temporal-ui")

    assert bot.ok("down").out.startswith("stopped ")
    assert not engine.containers()
    again = bot.mika("up", "-d", timeout=240)
    assert again.code == 0, str(again)
    assert "I remember: 1" in bot.ok("send", "two").out, "the volume of MongoDB is still there"
    assert "deleted: " in bot.ok("down", "--volumes", "--yes").out
    assert not engine.volumes()


def test_down_while_compose_works(bot, engine, windows):
    command = ["-m", "mika", "-C", to_windows(bot.folder), "up", "-d"]
    starting = windows.popen(command, cwd=bot.parent, env=bot.environ())
    try:
        poll_until(engine.containers, PATIENCE, "the first container")
        assert bot.ok("down").out.startswith("stopped ")
        assert starting.wait(PATIENCE) == 1
    finally:
        kill_tree(starting)
        assert starting.stdout is not None
        starting.stdout.close()
    assert not engine.containers()
