"""The bot's API and workers as plain processes, without mika, on a Temporal server of their own."""

from __future__ import annotations

import contextlib
import copy
import os
import signal
import socket
import sqlite3
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
import uvicorn
from mika.backends.embedded import find_temporal

from src.api.app import create_app
from src.config import load_settings_or_exit
from tests.kit import warm
from tests.kit.machine import ROOT, FreePort, free_port, poll_until
from tests.kit.project import FOREIGN
from tests.kit.runs import Running, environment

SIGSTOP = getattr(signal, "SIGSTOP", None)
needs_sigstop = pytest.mark.skipif(SIGSTOP is None, reason="needs SIGSTOP")


class Processes:
    """Children with their output in files of `folder`; all are killed when the context is left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        self.started: list[Running] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.started:
            process.kill()

    def run(self, name: str, command: list[str], **env: object) -> Running:
        file = self.folder / f"{name}-{uuid.uuid4().hex[:6]}.log"
        given = self.env | {key: str(value) for key, value in env.items()}
        with file.open("wb") as out:
            popen = warm.start(command, cwd=self.folder, env=given, out=out)
        process = Running(popen, file, name)
        self.started.append(process)
        return process


class TemporalServer(Processes):
    """The real server, with its data in `folder`, or only in memory, which is faster."""

    def __init__(self, folder: Path, port: int = 0, *, in_memory: bool = False, namespace: str = "") -> None:
        super().__init__(folder)
        self.env["GOGC"] = "400"  # it collects its garbage less often: a sixth of its CPU
        self._free = None if port else FreePort()
        self.port = port or self._free.number
        command = [str(find_temporal()), "server", "start-dev", "--headless", "--ip", "127.0.0.1"]
        command += ["--port", str(self.port), "--log-level", "error"]
        command += ["--namespace", namespace] if namespace else []  # beside `default`
        for way in ("Read", "Write"):  # a queue in one part, and not in four: a fifth of its CPU
            command += ["--dynamic-config-value", f"matching.numTaskqueue{way}Partitions=1"]
        command += [] if in_memory else ["--db-filename", str(folder / "temporal.db")]
        self._command = command
        self.process = self.run("temporal", command)

    def __enter__(self) -> Self:
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def restart(self) -> Running:
        """Start it again, after it was killed."""
        self.process = self.run("temporal", self._command)
        self._wait()
        return self.process

    def _wait(self) -> None:
        def look() -> bool:
            assert self.process.popen.poll() is None, self.process.output()
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True

        poll_until(look, 30, "the Temporal server's port")

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        if self._free is not None:
            self._free.release()


class BotProcesses(Processes):
    """One API and any number of workers on a task queue of their own."""

    def __init__(self, folder: Path, temporal_port: int, **settings: object) -> None:
        super().__init__(folder)
        self.queue = f"test-{uuid.uuid4().hex[:8]}"
        self._port = FreePort()
        self.temporal_port = temporal_port
        self.env |= {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PYTHONUTF8": "1",
            "TEMPORAL_PORT": str(temporal_port),
            "TEMPORAL_TASK_QUEUE": self.queue,
            **{name: str(value) for name, value in settings.items()},
        }
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self._port.number}", timeout=90, trust_env=False)

    def __exit__(self, *_: object) -> None:
        self.http.close()
        super().__exit__()
        self._port.release()

    def start(self, name: str, *arguments: str, **env: object) -> Running:
        return self.run(name, [sys.executable, *arguments], **env)

    def start_api(self, port: int = 0) -> Running:
        """The API; a further one on a `port` of its own."""
        server = ["-m", "uvicorn", "src.api.main:app", "--host", "127.0.0.1", "--port", str(port or self._port.number)]
        api = self.start("api", *server, "--http", "src.api.protocol:ImpatientProtocol", "--limit-concurrency", "900")
        api.wait_for("Application startup complete")
        poll_until(lambda: self.http.get("/healthz").status_code == 200, 30, "/healthz")
        return api

    @contextlib.contextmanager
    def api_here(self, **env: object) -> Iterator[Self]:
        """This bot, asked through an API in a thread of this process: 1.5 s of CPU less, most of it for imports.

        The current folder is the bot's meanwhile.
        """
        there = copy.copy(self)
        given = self.env | {key: str(value) for key, value in env.items()}
        with free_port() as port, contextlib.chdir(self.folder), ThreadPoolExecutor(1) as threads:
            with environment(given):
                app = create_app(load_settings_or_exit())
            settings = {"http": "src.api.protocol:ImpatientProtocol", "log_config": None}
            server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, **settings))
            serving = threads.submit(server.run)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=90, trust_env=False) as there.http:
                try:
                    poll_until(lambda: there.http.get("/healthz").status_code == 200, 30, "/healthz")
                    yield there
                finally:
                    server.should_exit = True
                    serving.result(30)

    def start_worker(self, **env: object) -> Running:
        worker = self.start("worker", "-m", "src.workers.temporal_worker", **env)
        worker.wait_for("worker_started")
        return worker

    def post(self, message: str = "hello", **body: Any) -> httpx.Response:
        return self.http.post("/webhook/langbot", json={"user_id": "1000112345", "message": message, **body})

    def workflow(self, workflow_id: str) -> dict[str, Any]:
        return self.http.get(f"/workflows/{workflow_id}").json()

    def completed(self, workflow_id: str, timeout: float = 60) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            answer = self.workflow(workflow_id)
            return answer if answer["status"] != "running" else None

        return poll_until(look, timeout, f"the end of {workflow_id}")

    def turns(self) -> list[tuple[str, str]]:
        """(message, reply) of everything that is stored."""
        return self._history("SELECT message, reply FROM turns ORDER BY created_at")

    def forget(self) -> None:
        with contextlib.suppress(sqlite3.OperationalError):  # nothing was ever stored
            self._history("DELETE FROM turns")

    def _history(self, statement: str) -> list[tuple[str, str]]:
        file = self.folder / ".mika" / "data" / "history.sqlite3"
        with contextlib.closing(sqlite3.connect(file)) as connection, connection:
            return connection.execute(statement).fetchall()
