"""Temporal from mika itself, and beside it what the app needs, from the project's compose file, on a real engine."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.kit.docker import images
from tests.kit.docker.bot import DockerBot, need_docker, of_project, path_with_compose, remove_all
from tests.kit.machine import FreePort
from tests.kit.project import Project

pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(sys.platform == "win32", reason="the images are Linux programs built on Linux"),
]
PASSWORD = "pa55-in-compose"
WRONG = "pa55-in-dotenv"
# Nothing of the first two, nor of the last two, may be started: their images do not even exist.
COMPOSE = f"""
services:
  temporal: {{image: temporalio/auto-setup:1.28, pull_policy: never, depends_on: [postgres]}}
  postgres: {{image: "postgres:nowhere", pull_policy: never}}
  mongo:
    image: ${{MONGO_IMAGE}}
    environment: {{MONGO_INITDB_ROOT_USERNAME: root, MONGO_INITDB_ROOT_PASSWORD: {PASSWORD}}}
    ports: ["127.0.0.1:${{MONGO_PORT:-27017}}:27017"]
    volumes: ["data:/data/db", "config:/data/configdb"]
  init: {{image: "${{MONGO_IMAGE}}", entrypoint: ["true"], restart: "no", tmpfs: [/data/db, /data/configdb],
    depends_on: [mongo]}}
  api: {{build: ., ports: ["8000:8000"], depends_on: [mongo]}}
  worker: {{build: ., command: python worker.py}}
volumes: {{data: , config: }}
"""
APP = b'app: python -c "import time; time.sleep(600)"\n'


class Beside(Project):
    """A project whose compose file has all: Temporal, a database with a password, and the app itself."""

    def __init__(self, parent: Path, **options: Any) -> None:
        need_docker()
        self._more = FreePort()
        self.mongo_port = self._more.number
        env = {**images.environment(), "PATH": path_with_compose(), "MONGO_PORT": str(self.mongo_port)}
        options.setdefault("backend", "embedded")
        options.setdefault("name", f"beside-{uuid.uuid4().hex[:8]}")
        super().__init__(parent, procfile=APP, env=env | options.pop("env", {}), **options)
        self.write("docker-compose.yml", COMPOSE)
        self.write(".env", f"MONGODB_URI=mongodb://root:{WRONG}@localhost:{self.mongo_port}/app\n")
        self.client = docker.from_env(timeout=20)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            self.env.pop("DOCKER_HOST", None)
            super().__exit__(kind, error, trace)
        finally:
            remove_all(self.client, self.name)
            self.client.close()
            self._more.release()

    def containers(self) -> dict[str, str]:
        found = self.client.api.containers(all=True, filters=of_project(self.name))
        return {entry["Labels"]["com.docker.compose.service"]: entry["State"] for entry in found}

    def volumes(self) -> list[str]:
        return sorted(volume.name for volume in self.client.volumes.list(filters=of_project(self.name)))

    def start_by_hand(self, service: str) -> None:
        """As `docker compose run` of another terminal does, without a build."""
        labels = {"com.docker.compose.project": self.name, "com.docker.compose.service": service}
        image, sleep = images.environment()["MONGO_IMAGE"], ["sleep", "600"]
        self.client.containers.run(
            image,
            sleep,
            entrypoint="",
            detach=True,
            labels=labels,
            name=f"{self.name}-{service}-1",
            network_mode="none",
            stop_signal="SIGKILL",  # a first process does not hear SIGTERM
        )


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Beside]:
    with Beside(tmp_path) as stack:
        yield stack


def test_what_the_app_needs_is_started_and_the_rest_is_left_out(stack):
    stack.start_by_hand("worker")
    up = stack.up()
    stack.start_by_hand("api")
    by_hand = {"api": "running", "worker": "running"}
    assert stack.containers() == {"mongo": "running", "init": "exited", **by_hand}
    found = stack.status()
    assert (found["backend"], found["state"]) == ("embedded", "ready")
    kinds = {service["name"]: (service["kind"], service["state"]) for service in found["services"]}
    assert kinds["mongo"] == ("container", "ready")
    assert kinds["temporal"] == ("process", "ready")
    at = {name: stack.events("ready", name)[0]["at"] for name in ("mongo", "app")}
    assert at["mongo"] < at["app"], "the app waits for it"

    assert "temporal, postgres (mika runs Temporal itself)" in up.out
    assert "api, worker (built from this project: the app)" in up.out
    difference = ".env:1: MONGODB_URI has another password than compose gives mongo (MONGO_INITDB_ROOT_PASSWORD)"
    assert difference in up.out
    assert difference in stack.ok("status").out
    assert found["left_out"].startswith("docker-compose.yml: left out: ")
    assert [concern["text"] for concern in found["concerns"]] == [difference]
    (check,) = [check for check in stack.mika("doctor", "--json").json["checks"] if check["id"] == "docker"]
    assert (check["status"], check["finding"]) == ("warn", difference)
    rows = stack.ok("config", "--json").json["services"]
    assert {name for name, why in rows.items() if not why} == {"mongo", "init"}
    shown = "".join(path.read_text(errors="replace") for path in (stack.folder / ".mika").rglob("*.log")) + up.text
    assert PASSWORD not in shown
    assert WRONG not in shown

    stack.ok("down")
    stack.assert_gone()
    assert stack.containers() == by_hand, "the app's own containers are nobody's business"
    assert stack.volumes() == [f"{stack.name}_config", f"{stack.name}_data"]
    assert f"{stack.name}_data" in stack.ok("down", "--volumes", "--yes").out
    assert stack.volumes() == []


def test_what_is_killed_comes_back_or_is_taken_away(stack):
    """And of a file that only compose of Windows would find."""
    shutil.move(stack.folder / "docker-compose.yml", stack.folder / "Docker-Compose.yml")
    stack.write(".env", "")
    stack.up()
    stack.client.containers.get(f"{stack.name}-mongo-1").kill()
    stack.wait_unit("mongo", "ready again", lambda unit: unit["state"] == "ready" and unit["restarts"] == 1, 30)
    stack.ok("stop", "mongo")
    report = {check["id"]: check for check in stack.mika("doctor", "--json").json["checks"]}
    assert report["docker"]["fix"] == "`mika start mongo`"
    assert report["temporal"]["status"] == "ok", f"it is not in a container: {report['temporal']}"
    stack.ok("start", "mongo")

    before = stack.client.containers.get(f"{stack.name}-mongo-1").id
    os.kill(stack.status()["supervisor"]["pid"], signal.SIGKILL)
    stack.assert_gone(15)
    assert stack.containers()["mongo"] == "running"
    stack.up()
    assert stack.client.containers.get(f"{stack.name}-mongo-1").id == before
    os.kill(stack.status()["supervisor"]["pid"], signal.SIGKILL)
    stack.start_by_hand("api")
    assert "left running, since mika did not start them: api" in stack.ok("down").out
    assert stack.containers() == {"api": "running"}


def test_without_an_engine_it_starts_and_says_what_is_missing(stack):
    stack.env["DOCKER_HOST"] = "unix:///nonexistent/docker.sock"
    up = stack.up()
    missing = f"mongo (127.0.0.1:{stack.mongo_port}), init (no port) are not started: no Docker engine answers"
    assert missing in up.out
    assert "what needs them (MONGODB_URI) fails until they run: start Docker (Desktop)" in up.out
    assert missing in stack.ok("status").out
    assert stack.status()["state"] == "ready"
    stack.ok("down")

    stack.write("mika.toml", 'services = ["mongo"]\n')
    refused = stack.error("up", "-d", code=1)
    assert "start Docker (Desktop), or remove them from `services` (mika.toml:1)" in refused.err
    stack.write("mika.toml", "services = []\n")
    assert "not started" not in stack.up().out


def test_a_database_that_runs_already_is_used_as_it_is(stack):
    with socket.create_server(("127.0.0.1", stack.mongo_port)):
        up = stack.up()
        assert f"mongo is not started: port {stack.mongo_port} is taken by " in up.out
        assert "init is not started: it needs mongo" in up.out
        assert stack.containers() == {}
        stack.ok("down")
        stack.write("mika.toml", 'services = ["mongo"]\n')
        assert f"port {stack.mongo_port} (MONGO_PORT) is taken" in stack.error("up", "-d", code=2).err


@pytest.mark.parametrize(("mentions", "backend"), [("temporalio", "embedded"), ("flask", "none")])
def test_a_compose_file_without_temporal_is_fine_for_docker(stack, mentions, backend):
    services = COMPOSE.split("  temporal:", maxsplit=1)[0] + "  mongo:" + COMPOSE.split("  mongo:", maxsplit=1)[1]
    stack.write("docker-compose.yml", services)
    stack.write("requirements.txt", mentions)
    for name in ("TEMPORAL_PORT", "TEMPORAL_UI_PORT"):  # which would mention it, too
        stack.env[name] = ""
    environ = {name: value for name, value in stack.environ().items() if not name.startswith("TEMPORAL_")}
    if backend == "embedded":
        environ |= {name: str(stack.ports[name]) for name in ("TEMPORAL_PORT", "TEMPORAL_UI_PORT")}
    command = [sys.executable, "-m", "mika", "-C", str(stack.folder), "up", "-d", "--backend", "docker"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert stack.status()["backend"] == backend
    assert stack.containers() == {"mongo": "running", "init": "exited"}


def test_a_bomb_of_anchors_never_reaches_compose(stack):
    bomb = [f"x0: &x0 [{','.join('a' * 10)}]"]
    bomb += [f"x{n}: &x{n} [{','.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 9)]
    stack.write("docker-compose.yml", "\n".join([*bomb, COMPOSE.strip()]))
    assert "docker-compose.yml:6: its aliases" in stack.up().out
    assert stack.containers() == {}
    stack.ok("down")
    assert "docker-compose.yml:6: its aliases" in stack.error("up", "-d", "--backend", "docker", code=2).err
    assert not [process for process in stack.alive() if "compose" in process.name()]


def test_docker_leaves_the_app_out_too(tmp_path):
    app = '{image: "${MONGO_IMAGE}", command: [python, -m, src.workers.temporal_worker], pull_policy: never}'
    with DockerBot(tmp_path, procfile=b"w: python -m src.workers.temporal_worker\n" + APP) as bot:
        bot.light(f"api: {{build: .}}, bot: {app}")
        up = bot.mika("up", "-d", "app", timeout=110)
        assert up.code == 0, str(up)
        assert "left out: api (built from this project: the app); bot (`w` is the same: the app)" in up.out
        assert {"api", "bot"}.isdisjoint(bot.containers())
        assert bot.unit("app")["state"] == "ready"


def test_a_project_without_a_procfile(stack):
    """What it proposes is what it starts."""
    (stack.folder / "Procfile").unlink()
    stack.write(
        "main.py", "from fastapi import FastAPI\napp = FastAPI()\n@app.get('/health')\ndef health(): return {}\n"
    )
    stack.write(".env", f"DOCUMENTS=mongodb://mongo:{stack.mongo_port}\n")
    up = stack.up("--yes")
    assert re.search(r"^  mongo +started, if Docker is here$", up.err, re.MULTILINE)
    assert re.search(r"^  api +left out: built from this project: the app$", up.err, re.MULTILINE)
    assert ".env:1: DOCUMENTS names mongo:" in up.out
    assert stack.unit("web")["state"] == "ready"
    assert stack.containers() == {"mongo": "running", "init": "exited"}
