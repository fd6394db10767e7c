"""A stream of messages, a killer, and the books: what was accepted must be stored exactly once.

A sender does what LangBot's users do: it posts a message with a `message_id`, and posts it again until it is answered.
At the end the history file and Temporal's own history must hold each accepted message exactly once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import statistics
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus

from launcher.errors import MikaError
from src.messages import SAVE_TURN, WORKFLOW
from tests.kit import Bot, Project, poll_until

# As in the repository's pyproject.toml, which a folder of its own does not have.
TOML = "[process.api]\nearly = true\n\n[process.worker]\nearly = true\ngrace = 15\n"
PATIENCE = 240.0  # s for one message: three run time-outs; an ordinary one needs 0.1 s
RECOVERY = 90.0  # s until what was killed is ready again
# Eight failures in a row, none of them after 10 s of readiness, are a give-up by design: chaos keeps below.
SETTLE, BUDGET = 10.0, 6
UNITS = ("worker", "api", "temporal")
# How often each is chosen. "stopped" is SIGSTOP, which hangs; all others are SIGKILL.
WEIGHTS = {
    "worker": 9,
    "api": 6,
    "temporal": 5,
    "supervisor": 4,
    "worker stopped": 1,
    "guard of worker": 1,
    "supervisor and guards": 1,
}


@dataclass(frozen=True)
class Options:
    kills: int
    seed: int
    senders: int = 4
    task_timeout: float | None = None


# --- the stream -------------------------------------------------------------------------------------------------------


@dataclass
class Message:
    """One message and all that its sender heard."""

    id: str
    began: float
    answered: float | None = None  # time.monotonic() of the first 200
    workflow_ids: set[str] = field(default_factory=set)
    replies: set[str] = field(default_factory=set)
    refusals: Counter[str] = field(default_factory=Counter)

    @property
    def text(self) -> str:
        return f"message {self.id}."

    @property
    def accepted(self) -> bool:
        return self.answered is not None or bool(self.workflow_ids)


class Stream:
    """Senders at work until `finish`, each with one message at a time."""

    def __init__(self, url: str, options: Options) -> None:
        self.messages: list[Message] = []
        self._url, self._seed = url, options.seed
        self._finish = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(options.senders)]
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Let each sender get its last message through."""
        self._finish.set()
        for thread in self._threads:
            thread.join()

    def _send(self, sender: int) -> None:
        rng = random.Random(f"{self._seed} {sender}")
        count = 0
        with httpx.Client(base_url=self._url, timeout=90, trust_env=False) as http:
            while not self._finish.is_set():
                count += 1
                message = Message(f"{self._seed}-{sender}-{count}", time.monotonic())
                self.messages.append(message)
                user = f"user-{rng.randrange(5)}"
                with contextlib.suppress(AssertionError):  # given up: the books say what became of it
                    poll_until(lambda m=message, u=user: self._post(http, m, u), PATIENCE, "an answer", step=0.2)
                if rng.random() < 0.2:  # delivered once more, as a network does that lost the answer
                    with contextlib.suppress(httpx.HTTPError):
                        self._post(http, message, user)
                self._finish.wait(rng.uniform(0.05, 0.6))

    @staticmethod
    def _post(http: httpx.Client, message: Message, user: str) -> bool:
        body = {"user_id": user, "message": message.text, "message_id": message.id}
        try:
            response = http.post("/webhook/langbot", json=body)
        except httpx.HTTPError as error:
            message.refusals[type(error).__name__] += 1
            raise
        if response.headers.get("content-type", "").startswith("text/"):
            message.refusals[f"HTTP {response.status_code} as text"] += 1  # uvicorn's own words, not the API's
            return False
        answer = response.json()
        if answer.get("workflow_id"):
            message.workflow_ids.add(answer["workflow_id"])
        if response.status_code != 200:
            message.refusals[answer["code"]] += 1
            return False
        message.answered = message.answered or time.monotonic()
        message.replies.add(answer["response"])
        return True


# --- the killer -------------------------------------------------------------------------------------------------------


@dataclass
class Kill:
    target: str
    at: float  # time.monotonic()
    back: float | None = None  # s until the replacement was ready


class Killer:
    """Chooses from a seed what dies and when, and waits until it is back."""

    def __init__(self, bot: Bot, options: Options, say: Callable[[str], None]) -> None:
        self.kills: list[Kill] = []
        self.gave_up = self.failed_ups = 0
        self._bot, self._options, self._say = bot, options, say
        self._rng = random.Random(options.seed)
        self._ready_at: dict[str, float] = {}
        self._quick: Counter[str] = Counter()

    def run(self) -> None:
        while len(self.kills) < self._options.kills:
            # The moment is part of what is tried, so this is no waiting for something.
            time.sleep(self._rng.uniform(0.0, 2.0))
            target = self._choose()
            if target.startswith("supervisor"):
                self._kill_supervisor(target)
            else:
                self._round(target)

    def _choose(self) -> str:
        allowed = [name for name in WEIGHTS if self._quick[_unit(name)] < BUDGET]
        return self._rng.choices(allowed, [WEIGHTS[name] for name in allowed])[0]

    def _round(self, target: str) -> None:
        """One unit, sometimes two in the same instant, sometimes the replacement too while it starts."""
        targets = [target]
        dice = self._rng.random()
        if dice < 0.2:
            others = [name for name in UNITS if name != _unit(target) and self._quick[name] < BUDGET]
            targets += self._rng.sample(others, min(1, len(others)))
        killed = [self._hit(name) for name in targets]
        if dice > 0.85 and self._quick[_unit(target)] < BUDGET:
            killed = [(self._hit(_unit(target), other_than=killed[0][1]))]
        for kill, pid in killed:
            self._await(kill, pid)

    def _hit(self, target: str, other_than: int = 0) -> tuple[Kill, int]:
        name = _unit(target)

        def look() -> int:
            found = self._bot.unit(name)
            self._revive(name, found["state"])
            return found["pid"] if found["pid"] not in (None, other_than) else 0

        pid = poll_until(look, RECOVERY, f"a process of {name}", step=0.02)
        victim = psutil.Process(pid).ppid() if target.startswith("guard") else pid
        now = time.monotonic()
        os.kill(victim, signal.SIGSTOP if target.endswith("stopped") else signal.SIGKILL)
        if now - self._ready_at.get(name, now) >= SETTLE:
            self._quick[name] = 0
        self._quick[name] += 1
        kill = Kill(target, now)
        self.kills.append(kill)
        return kill, pid

    def _await(self, kill: Kill, pid: int) -> None:
        name = _unit(kill.target)

        def look() -> bool:
            found = self._bot.unit(name)
            self._revive(name, found["state"])
            return found["state"] == "ready" and found["pid"] != pid

        poll_until(look, RECOVERY, f"{name} ready again", step=0.02)
        self._ready_at[name] = time.monotonic()
        kill.back = self._ready_at[name] - kill.at
        self._say(f"{len(self.kills):4} {kill.target}: back after {kill.back:.2f} s")

    def _revive(self, name: str, state: str) -> None:
        if state == "gave_up":
            self.gave_up += 1
            self._bot.mika("start", name)

    def _kill_supervisor(self, target: str) -> None:
        supervisor = psutil.Process(self._bot.status()["supervisor"]["pid"])
        victims = [supervisor, *(supervisor.children() if target.endswith("guards") else ())]
        kill = Kill(target, time.monotonic())
        for process in victims:
            process.suspend()  # so that none sees another one end
        for process in victims:
            process.kill()
        self.kills.append(kill)
        while (result := self._bot.mika("up", "-d", timeout=RECOVERY)).code:
            self.failed_ups += 1
            self._say(f"`mika up` failed after a kill of {target}: {result}")
            if self.failed_ups > 3:
                raise AssertionError(str(result))
        now = time.monotonic()
        self._quick.clear()
        self._ready_at = dict.fromkeys(UNITS, now)
        kill.back = now - kill.at
        self._say(f"{len(self.kills):4} {kill.target}: back after {kill.back:.2f} s")


def _unit(target: str) -> str:
    """Which unit's restart budget a target uses."""
    return "worker" if "worker" in target else target


# --- the books --------------------------------------------------------------------------------------------------------


@dataclass
class Books:
    """What is stored, by message text and by workflow id."""

    turns: dict[str, list[tuple[str, str]]]  # message -> (workflow id, reply)
    runs: dict[str, list[WorkflowExecutionStatus]]
    saves: dict[str, int]


def read_books(bot: Bot) -> Books:
    runs, saves = asyncio.run(_temporal(bot))
    turns: dict[str, list[tuple[str, str]]] = defaultdict(list)
    file = bot.folder / ".mika" / "data" / "history.sqlite3"
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        for workflow_id, message, reply in database.execute("SELECT workflow_id, message, reply FROM turns"):
            turns[message].append((workflow_id, reply))
    return Books(turns, runs, saves)


async def _temporal(bot: Bot) -> tuple[dict[str, list[WorkflowExecutionStatus]], dict[str, int]]:
    """All runs, when none is running any more, and how often each stored its turn."""
    client = await Client.connect(f"127.0.0.1:{bot.ports['TEMPORAL_PORT']}")
    deadline = time.monotonic() + PATIENCE
    query = f"WorkflowType = '{WORKFLOW}'"
    while await _running(client, query):
        if time.monotonic() >= deadline:
            break  # the books show it as lost
        await asyncio.sleep(0.5)
    runs: dict[str, list[WorkflowExecutionStatus]] = defaultdict(list)
    saves: dict[str, int] = Counter()
    slots = asyncio.Semaphore(8)

    async def count(workflow_id: str, run_id: str) -> None:
        async with slots:
            history = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        scheduled = {
            event.event_id
            for event in history.events
            if event.activity_task_scheduled_event_attributes.activity_type.name == SAVE_TURN
        }
        saves[workflow_id] += sum(
            event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
            and event.activity_task_completed_event_attributes.scheduled_event_id in scheduled
            for event in history.events
        )

    async with asyncio.TaskGroup() as group:
        async for found in client.list_workflows(query):
            if found.status is not None:
                runs[found.id].append(found.status)
            group.create_task(count(found.id, found.run_id))
    return runs, saves


async def _running(client: Client, query: str) -> int:
    return (await client.count_workflows(f"{query} AND ExecutionStatus = 'Running'")).count


# --- the report -------------------------------------------------------------------------------------------------------


@dataclass
class Report:
    """What came of it; `faults` has one line for each thing that must not be."""

    options: Options
    seconds: float
    messages: Sequence[Message]
    kills: Sequence[Kill]
    gave_up: int
    failed_ups: int
    redone: int
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.other)

    @property
    def answered(self) -> int:
        return sum(message.answered is not None for message in self.messages)

    def __str__(self) -> str:
        task_timeout = self.options.task_timeout or 30
        chosen = Counter(kill.target for kill in self.kills)
        refusals = sum((message.refusals for message in self.messages), Counter[str]())
        latency = [m.answered - m.began for m in self.messages if m.answered is not None]
        head = f"{len(self.kills)} kills in {self.seconds:.0f} s (seed {self.options.seed}, WORKFLOW_TASK_TIMEOUT"
        lost, doubled = len(self.lost), len(self.doubled)
        lines = [
            f"{head} {task_timeout:g} s): {_counts(chosen)}",
            f"messages sent {len(self.messages)}, answered {self.answered}, lost {lost}, doubled {doubled}",
            f"posted again because of: {_counts(refusals) or 'nothing'}",
            f"runs that were redone: {self.redone}; gave up: {self.gave_up}; failed `mika up`: {self.failed_ups}",
            f"a message, from the first post to its answer: {_times(latency)}",
            f"a new message is answered, after a kill: {_times(self._answered_again())}",
            "ready again, after a kill:",
        ]
        for target in chosen:
            backs = [kill.back for kill in self.kills if kill.target == target and kill.back is not None]
            lines.append(f"  {target}: {_times(backs)}")
        lines.append(f"  all: {_times([kill.back for kill in self.kills if kill.back is not None])}")
        return "\n".join([*lines, *self.lost, *self.doubled, *self.other])

    def _answered_again(self) -> list[float]:
        """For each kill: from it to the first answer to a message that was first posted after it."""
        return [
            min(after) - kill.at
            for kill in self.kills
            if (after := [m.answered for m in self.messages if m.began > kill.at and m.answered is not None])
        ]


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common())


def _times(seconds: Sequence[float]) -> str:
    if not seconds:
        return "none"
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, round(0.99 * (len(ordered) - 1)))]
    median = statistics.median(ordered)
    return f"median {median:.2f} s, p99 {p99:.2f} s, longest {ordered[-1]:.2f} s ({len(ordered)} times)"


def judge(report: Report, books: Books) -> None:
    known = {message.text for message in report.messages}
    report.other += [f"a turn that nobody sent: {text}" for text in books.turns if text not in known]
    for message in report.messages:
        turns = books.turns.get(message.text, [])
        ids = message.workflow_ids | {workflow_id for workflow_id, _ in turns}
        completed = sum(books.runs[i].count(WorkflowExecutionStatus.COMPLETED) for i in ids)
        saves = sum(books.saves[i] for i in ids)
        told = (
            f"{message.id}: {len(turns)} turns, {completed} completed runs, {saves} saves, {len(ids)} workflow ids,"
            f" {len(message.replies)} different replies, refusals: {_counts(message.refusals)},"
            f" runs: {[status.name for i in ids for status in books.runs[i]]}"
        )
        if message.accepted and (not turns or not completed):
            report.lost.append(f"lost {told}")
        elif max(len(turns), completed, saves, len(ids), len(message.replies)) > 1:
            report.doubled.append(f"doubled {told}")
        elif message.replies and message.replies != {reply for _, reply in turns}:
            report.other.append(f"another reply was stored than given: {told}")
        elif message.replies and message.text not in next(iter(message.replies)):
            report.other.append(f"the reply to another message: {told}")
        elif message.answered is None:
            report.other.append(f"never answered: {told}")


# --- all of it --------------------------------------------------------------------------------------------------------


def run(folder: Path, options: Options, say: Callable[[str], None] = lambda text: None) -> Report:
    """Raises AssertionError when something that was killed does not come back, or anything is left at the end."""
    env = {} if options.task_timeout is None else {"WORKFLOW_TASK_TIMEOUT": f"{options.task_timeout:g}"}
    bot: Bot
    with Bot(folder, toml=TOML, env=env) as bot:
        bot.up()
        began = time.monotonic()
        stream = Stream(bot.url, options)
        killer = Killer(bot, options, say)
        try:
            killer.run()
        finally:
            _finish(stream, bot)
        seconds = time.monotonic() - began
        say("the last messages are through; reading the books")
        bot.wait_ready(RECOVERY)
        books = read_books(bot)
        failed = sum(len(found) - found.count(WorkflowExecutionStatus.COMPLETED) for found in books.runs.values())
        report = Report(
            options, seconds, stream.messages, killer.kills, killer.gave_up, killer.failed_ups, redone=failed
        )
        judge(report, books)
        if not report.good:
            say(bot.log_tail(40))
    return report


def _finish(stream: Stream, bot: Project) -> None:
    """Senders retry until they are answered, so a stack that is down must not keep them for minutes."""
    with contextlib.suppress(MikaError, AssertionError):
        bot.wait_ready(RECOVERY)
    stream.finish()
