"""A real stack started by hand, to do faults to it.

The server has Temporal's own settings, not those of our embedded one: a killed worker stays listed for five minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from mika.backends.embedded import find_temporal
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.kit import warm
from tests.kit.bot import Bot
from tests.kit.machine import DEADLINE, poll_until, telling
from tests.kit.runs import Result

T = TypeVar("T")
QUEUE, MISSPELT = "mika-bot-task-queue", "mika_bot_task_queue"
WORKFLOW = "ProcessMessageWorkflow"
MESSAGE = {"user_id": "1000112345", "message": "hello", "group_id": "", "reply_to": None}
SOON = timedelta(seconds=30)


class Hand(Bot):
    """The bot in three terminals: a server, the API, a worker; each can be ended and started with other settings."""

    def __init__(self, parent: Path, **options: Any) -> None:
        super().__init__(parent, backend="external", **options)
        self.terminals: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *command: str, **env: str) -> int:
        self.stop(name)
        log = self.folder / f"{name}-terminal.log"
        with log.open("wb") as output:
            self.terminals[name] = warm.start(command, cwd=self.folder, env=self.environ(**env), out=output)
        return self.terminals[name].pid

    def stop(self, name: str, number: int = signal.SIGTERM) -> None:
        popen = self.terminals.pop(name, None)
        if popen is not None:
            if hasattr(signal, "SIGCONT"):
                popen.send_signal(signal.SIGCONT)
            popen.send_signal(number)
            popen.wait(DEADLINE)

    def _stop(self) -> str:
        for name in ("worker", "api", "temporal", *self.terminals):
            self.stop(name, signal.SIGTERM)
        return super()._stop()

    def temporal(self, *more: str) -> int:
        port, ui = (str(self.ports[name]) for name in ("TEMPORAL_PORT", "TEMPORAL_UI_PORT"))
        command = [str(find_temporal()), "server", "start-dev", "--ip", "127.0.0.1", "--port", port, *more]
        command += [] if "--headless" in more else ["--ui-port", ui]
        pid = self.start("temporal", *command, "--log-level", "error", "--db-filename", str(self.folder / "server.db"))
        poll_until(lambda: self.ask(lambda c: c.count_workflows()), DEADLINE, "the server")
        return pid

    def api(self, port: int = 0, **env: str) -> int:
        port = port or self.ports["API_PORT"]
        command = [sys.executable, "-m", "uvicorn", "src.api.main:app", "--host", "127.0.0.1", "--port", str(port)]
        pid = self.start("api", *command, **env)
        self.says("api", "Uvicorn running")
        return pid

    def worker(self, **env: str) -> int:
        pid = self.start("worker", sys.executable, "-m", "src.workers.temporal_worker", **env)
        self.says("worker", "worker_started")
        return pid

    def mend(self, *without: str) -> None:
        """Start what does not run, but for what a test is going `without`, and end every workflow."""
        for name in ("temporal", "api", "worker"):
            if name not in (*self.terminals, *without):
                getattr(self, name)()
        self.ask(_end_all)

    def says(self, name: str, text: str) -> None:
        log = self.folder / f"{name}-terminal.log"
        poll_until(lambda: text in log.read_text(encoding="utf-8"), DEADLINE, f"{text!r} from {name}")

    # --- Temporal ----------------------------------------------------------------------------------------------------

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.ports['TEMPORAL_PORT']}"

    def ask(self, work: Callable[[Client], Awaitable[T]], namespace: str = "default") -> T:
        async def main() -> T:
            try:
                return await work(await Client.connect(self.address, namespace=namespace))
            except RuntimeError as error:  # no connection
                raise OSError(str(error)) from None

        return asyncio.run(main())

    def send(self, name: str = WORKFLOW, *args: Any, queue: str = QUEUE, run_timeout: float = 60) -> str:
        """Start a workflow, as the API does, and wait for nothing."""
        workflow_id = f"{name}-{uuid.uuid4().hex[:8]}"
        arguments = args or ((MESSAGE,) if name == WORKFLOW else ())
        limit = timedelta(seconds=run_timeout)
        self.ask(
            lambda c: c.start_workflow(
                name,
                args=arguments,
                id=workflow_id,
                task_queue=queue,
                run_timeout=limit,
                task_timeout=timedelta(seconds=30),
            )
        )
        return workflow_id

    def result(self, workflow_id: str) -> Any:
        return self.ask(lambda c: asyncio.wait_for(c.get_workflow_handle(workflow_id).result(), DEADLINE))

    # --- the doctor --------------------------------------------------------------------------------------------------

    def checks(self, *args: str, **env: str) -> tuple[Result, dict[str, dict[str, str]]]:
        result = self.mika("doctor", "--json", *args, env=env)
        return result, {check["id"]: check for check in result.json["checks"]}

    def story(self, workflow_id: str, cause: str, words: str = "", timeout: float = DEADLINE) -> dict[str, Any]:
        """What the doctor says of the workflow as soon as it names this cause, in these words."""
        seen: dict[str, Any] = {}

        def look() -> bool:
            result = self.mika("doctor", "--workflow", workflow_id, "--json")
            seen.clear()
            seen.update(result.json, code=result.code)
            return seen.get("cause") == cause and words in seen["finding"]

        with telling(lambda: seen):
            poll_until(look, timeout, f"{cause} for {workflow_id}", step=1)  # a look takes 0.1 s of CPU
        assert seen["code"] == (0 if cause in ("healthy", "running") else 1)
        assert len(seen["finding"]) < 400
        assert bool(seen["fix"]) == (cause not in ("healthy", "running"))
        return seen


async def _end_all(client: Client) -> None:
    async for execution in client.list_workflows("ExecutionStatus = 'Running'"):
        with contextlib.suppress(RPCError):  # it has just ended
            await client.get_workflow_handle(execution.id).terminate("the test before")


@contextlib.contextmanager
def suspended(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def inside(hand: Hand, *, queue: str, **options: Any) -> Iterator[None]:
    """A worker in this process, in a thread with a loop of its own."""
    stop, ready = threading.Event(), threading.Event()

    async def main() -> None:
        client = await Client.connect(hand.address)
        async with Worker(client, task_queue=queue, workflow_runner=UnsandboxedWorkflowRunner(), **options):
            ready.set()
            await asyncio.to_thread(stop.wait)

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(lambda: asyncio.run(main()))
        try:
            assert ready.wait(DEADLINE)
            yield
        finally:
            stop.set()
            running.result(DEADLINE)
