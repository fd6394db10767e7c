"""Events of LangBot, a killer, and the chat: `uv run python -m tests.chaos.langbot --kills 100 --seed 1`.

Senders push events as LangBot does: once, without a second attempt. Meanwhile the worker, the API, the server and
LangBot itself are killed. Whatever was taken must be in the chat exactly once, or its result must say why that is not
sure.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import random
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from temporalio.client import Client, WorkflowFailureError
from temporalio.service import RPCError

from src.messages import Reply, Sent, send_workflow_id
from tests.kit.bot_processes import BotProcesses, TemporalServer
from tests.kit.langbot_api import UNLIMITED, LangBotApi, event
from tests.kit.machine import free_port, poll_until
from tests.kit.runs import Running

PATIENCE = 120.0  # s for one message
TARGETS = {"worker": 4, "api": 2, "temporal": 2, "langbot": 3}


@dataclass
class Message:
    """`taken`: what the API said; None if it was killed before it could."""

    text: str
    taken: bool | None = None
    outcome: str = ""
    detail: str = ""
    seconds: float = 0.0


@dataclass
class Report:
    """`bad` has one line for each message that must not be so."""

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    messages: list[Message] = field(default_factory=list)
    chat: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)

    def judge(self) -> None:
        for message in self.messages:
            times = self._times(message)
            allowed = {"sent": {1}, "maybe_sent": {0, 1}, "refused": {0}}.get(message.outcome, set())
            if message.taken is None:  # LangBot's own pipeline may have answered, too, but nobody can prevent that
                allowed = {0, 1}
            elif not message.taken:
                allowed = {0}
            if times not in allowed:
                self.bad.append(f"{times} times in the chat: {message}")

    def __str__(self) -> str:
        kinds = Counter(
            {None: "the API was killed", False: "not taken", True: message.outcome}[message.taken]
            + f", {self._times(message)} in the chat"
            for message in self.messages
        )
        told = ", ".join(f"{name} {count}" for name, count in self.kills.most_common())
        lasted = sorted(message.seconds for message in self.messages if message.taken) or [0.0]
        lines = [f"{self.kills.total()} kills (seed {self.seed}): {told}", f"{len(self.messages)} messages"]
        lines += [f"  until the outcome: median {lasted[len(lasted) // 2]:.1f} s, longest {lasted[-1]:.1f} s"]
        lines += [f"  {count:5} {kind}" for kind, count in kinds.most_common()]
        return "\n".join([*lines, *self.bad])

    def _times(self, message: Message) -> int:
        return sum(count for text, count in self.chat.items() if message.text in text)


class Senders(threading.Thread):
    """Push events, a few at once, each sender one after the other."""

    def __init__(self, bot: BotProcesses, count: int) -> None:
        super().__init__()
        self.messages: list[Message] = []
        self.in_flight = 0
        """Messages that were taken and have no outcome yet."""
        self._bot, self._count = bot, count
        self._over = threading.Event()

    def run(self) -> None:
        asyncio.run(self._all())

    def finish(self) -> None:
        """Wait for what is under way."""
        self._over.set()
        self.join()

    async def _all(self) -> None:
        client = await Client.connect(f"127.0.0.1:{self._bot.temporal_port}", lazy=True)
        async with httpx.AsyncClient(base_url=self._bot.http.base_url, timeout=15, trust_env=False) as http:
            await asyncio.gather(*(self._one(http, client) for _ in range(self._count)))
        # The API may have been killed after it started a workflow.
        async with asyncio.timeout(PATIENCE):
            while (await client.count_workflows("ExecutionStatus = 'Running'")).count:
                await asyncio.sleep(0.5)

    async def _one(self, http: httpx.AsyncClient, client: Client) -> None:
        while not self._over.is_set():
            message, began = Message(uuid.uuid4().hex), time.monotonic()
            try:
                answer = (await http.post("/webhook/langbot", json=event(message.text))).json()
            except httpx.ConnectError:
                await asyncio.sleep(0.1)
                continue
            except httpx.HTTPError:
                self.messages.append(message)
                continue
            self.messages.append(message)
            message.taken = answer["skip_pipeline"]
            if message.taken:
                self.in_flight += 1
                try:
                    async with asyncio.timeout(PATIENCE):
                        message.outcome, message.detail = await _outcome(client, answer["workflow_id"])
                except TimeoutError:
                    message.outcome = "never ended"
                self.in_flight -= 1
                message.seconds = time.monotonic() - began


async def _outcome(client: Client, workflow_id: str) -> tuple[str, str]:
    """What the result says became of a reply, and why. Asks again while the server is down."""
    while True:
        try:
            sent: Reply | Sent = await client.get_workflow_handle(workflow_id, result_type=Reply).result()
            if sent.delivery == "waiting":
                sent = await client.get_workflow_handle(send_workflow_id(workflow_id), result_type=Sent).result()
        except WorkflowFailureError as failure:
            return "failed", repr(failure.cause)
        except (RPCError, RuntimeError):
            await asyncio.sleep(0.2)
        else:
            return sent.delivery, sent.detail


def run(
    folder: Path, kills: int, seed: int, senders: int = 4, say: Callable[[str], None] = lambda text: None
) -> Report:
    """Raises AssertionError when something that was killed does not come back."""
    report, rng = Report(seed), random.Random(seed)
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(free_port())
        chat = LangBotApi(port, folder / "chat.jsonl")
        server = stack.enter_context(TemporalServer(folder))
        # The next worker returns a workflow task that a killed one had just taken, but not one that meets two kills.
        settings = {**UNLIMITED, "LANGBOT_API_BASE_URL": chat.url, "WORKFLOW_TASK_TIMEOUT": 5}
        bot = stack.enter_context(BotProcesses(folder, server.port, **settings))

        def start_langbot() -> Running:
            process = bot.start("langbot", "-m", "tests.kit.langbot_api", str(port), str(folder / "chat.jsonl"))
            process.wait_for("LangBot's API is up")
            return process

        numbers = itertools.count(1)

        def start_worker() -> Running:
            return bot.start_worker(MIKA_WORKER_IDENTITY=f"worker@chaos-{next(numbers)}")

        starts = {
            "worker": start_worker,
            "api": bot.start_api,
            "temporal": server.restart,
            "langbot": start_langbot,
        }
        running = {name: start() for name, start in starts.items() if name != "temporal"} | {"temporal": server.process}
        stream = Senders(bot, senders)
        stream.start()
        try:
            while report.kills.total() < kills:
                poll_until(lambda: stream.in_flight == senders, PATIENCE, "messages on their way", step=0.01)
                # The moment is part of what is tried, so this is no waiting for something.
                time.sleep(rng.uniform(0.0, 1.0))
                name = rng.choices(list(TARGETS), list(TARGETS.values()))[0]
                running[name].kill()
                report.kills[name] += 1
                began = time.monotonic()
                running[name] = starts[name]()
                say(f"{report.kills.total():4} {name}: back after {time.monotonic() - began:.1f} s")
        finally:
            stream.finish()
        report.messages = stream.messages
        report.chat = Counter(chat.texts())
    report.judge()
    return report


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.langbot", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="chooses targets and moments")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mika-langbot-") as folder:
        report = run(Path(folder), given.kills, given.seed, say=lambda text: print(text, flush=True))
    print(report)
    return 1 if report.bad else 0


if __name__ == "__main__":
    sys.exit(main())
