"""Messages through the whole bot: how many per second, how long one takes, what it costs, and what a burst gets.

    python -m benchmarks.messages                              # 2 min
    python -m benchmarks.messages --against ../mika-of-before  # beside the bot of another checkout, in the same run
    python -m benchmarks.messages --burst 100 700              # so many at once
    python -m benchmarks.messages --soak 10m --rate 5          # memory and database, each minute

The model is the offline one, which answers at once: what is measured is the bot's own share.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import signal
import statistics
import sys
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from temporalio.client import Client

from benchmarks import common
from benchmarks.bot import PARTS, Stack, running
from benchmarks.common import Failed

IN_FLIGHT = [1, 10, 50]
OK = 200
SECONDS_OF_A_BURST = 130.0

Send = Callable[[int], Awaitable[str]]
"""Sends one message, and returns what became of it: `200`, or an error's code."""


@dataclass(slots=True)
class Load:
    """What one round of messages took. Times in seconds; `cpu` by part of the stack, per message."""

    took: float = 0.0
    latencies: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    cpu: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.outcomes[str(OK)] / self.took


async def send_all(send: Send, count: int, in_flight: int) -> Load:
    """`count` messages, with `in_flight` of them under way all the time."""
    load, numbers = Load(), iter(range(count))

    async def sender() -> None:
        for number in numbers:
            began = time.monotonic()
            load.outcomes[await send(number)] += 1
            load.latencies.append(time.monotonic() - began)

    began = time.monotonic()
    await asyncio.gather(*(sender() for _ in range(in_flight)))
    load.took = time.monotonic() - began
    return load


def over_http(http: httpx.AsyncClient, url: str) -> Send:
    async def send(number: int) -> str:
        body = {"user_id": str(number % 1000), "message": "hello, how are you today?"}
        try:
            answer = await http.post(f"{url}/webhook/langbot", json=body)
        except httpx.HTTPError as error:
            return type(error).__name__
        if answer.status_code == OK:
            return str(OK)
        with contextlib.suppress(ValueError):
            return str(answer.json().get("code", answer.status_code))
        return str(answer.status_code)

    return send


def over_a_connection(url: str) -> Send:
    """Each message over a connection of its own, without a pool: a pool of 1500 needs 25 s of CPU itself."""
    address = urlsplit(url)

    async def send(number: int) -> str:
        body = json.dumps({"user_id": str(number % 1000), "message": "hello, how are you today?"}).encode()
        head = f"POST /webhook/langbot HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        try:
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            async with asyncio.timeout(SECONDS_OF_A_BURST):
                writer.write(head.encode() + body)
                answer = await reader.read()
        except OSError as error:
            return type(error).__name__
        finally:
            writer.close()
        status = int(answer.split(b" ", 2)[1])
        return str(OK) if status == OK else str(json.loads(answer.partition(b"\r\n\r\n")[2])["code"])

    return send


def by_client(client: Client) -> Send:
    async def send(number: int) -> str:
        await client.execute_workflow(
            "ProcessMessageWorkflow",
            {"user_id": str(number % 1000), "message": "hello, how are you today?"},
            id=f"process_message_{uuid.uuid4().hex}",
            task_queue="mika-bot-task-queue",
            run_timeout=timedelta(seconds=60),
        )
        return str(OK)

    return send


def http_client(timeout: float = 120.0) -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=timeout, limits=httpx.Limits(max_connections=None), trust_env=False)


# --- rates -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def awaiting_handler(stack: Stack) -> Iterator[str]:
    """The address of an API whose handler awaits the workflow, on the same server and worker."""
    (port,) = common.free_ports(1)
    command = [sys.executable, "-m", "uvicorn", "benchmarks.handler:app", "--port", str(port), "--log-level", "warning"]
    process = stack.place.run(command, cwd=common.ROOT)
    url = f"http://127.0.0.1:{port}"
    try:

        def answers() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(f"{url}/openapi.json", trust_env=False).status_code == OK
            return False

        common.wait_for("API that awaits the workflow", answers, 30, step=0.1)
        yield url
    finally:
        common.stop(process)


async def measure(
    stacks: list[Stack], urls: dict[str, str], in_flights: list[int], seconds: float, rounds: int
) -> None:
    """Each variant takes its turn in each round, so that whatever else the machine does hits all alike."""
    async with http_client() as http:
        variants: dict[str, tuple[Stack, Send]] = {}
        for stack in stacks:
            variants[f"{stack.name}: bare client"] = stack, by_client(await Client.connect(stack.temporal))
            variants[f"{stack.name}: handler that awaits"] = stack, over_http(http, urls[stack.name])
            variants[f"{stack.name}: the bot's API"] = stack, over_http(http, stack.api)
        for _, send in variants.values():
            await send_all(send, 20, 5)
        for in_flight in in_flights:
            loads: dict[str, list[Load]] = {name: [] for name in variants}
            for number in range(rounds):
                names = list(variants)
                for name in names[number % len(names) :] + names[: number % len(names)]:
                    loads[name].append(await one(*variants[name], in_flight, seconds))
                    common.say(f"{in_flight} in flight, round {number + 1}: {name} {loads[name][-1].rate:.1f}/s")
            show(in_flight, loads, stacks)


async def one(stack: Stack, send: Send, in_flight: int, seconds: float) -> Load:
    """About `seconds` of messages: first a few of them, to know how many that are."""
    trial = await send_all(send, 2 * in_flight, in_flight)
    before = stack.cpu()
    count = max(3 * in_flight, int(seconds * trial.rate))
    load = await send_all(send, count, in_flight)
    after = stack.cpu()
    load.cpu = {part: (after[part] - before[part]) / count for part in PARTS}
    return load


def show(in_flight: int, loads: dict[str, list[Load]], stacks: list[Stack]) -> None:
    rows = []
    for name, of_name in loads.items():
        kind = name.partition(": ")[2]
        base = loads[f"{stacks[-1].name}: {kind}"]
        ratio = statistics.median(a.rate / b.rate for a, b in zip(of_name, base, strict=True))
        times = [taken for load in of_name for taken in load.latencies]
        failed = sum(load.outcomes.total() - load.outcomes[str(OK)] for load in of_name)
        rows.append(
            [
                name,
                f"{statistics.median(load.rate for load in of_name):.1f}",
                *[f"{1000 * quantile(times, part):.0f}" for part in (0.5, 0.99)],
                *[f"{1000 * statistics.median(load.cpu[part] for load in of_name):.1f}" for part in PARTS],
                str(failed),
                *([f"{ratio:.2f}"] if len(stacks) > 1 else []),
            ]
        )
    headers = ["", "messages/s", "p50, ms", "p99, ms", *[f"CPU {part}, ms" for part in PARTS], "failed"]
    headers += [f"rate / {stacks[-1].name}"] if len(stacks) > 1 else []
    common.table(f"{in_flight} in flight", headers, rows)


def quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


# --- bursts ----------------------------------------------------------------------------------------------------------


async def burst(stacks: list[Stack], counts: list[int]) -> None:
    """All at once. Whoever is told that the bot is busy should be told at once."""
    rows = []
    for count in counts:
        for stack in stacks:
            told: dict[str, list[float]] = {}
            send = over_a_connection(stack.api)

            async def timed(number: int, send: Send = send, told: dict[str, list[float]] = told) -> None:
                began = time.monotonic()
                told.setdefault(await send(number), []).append(time.monotonic() - began)

            await asyncio.gather(*(timed(number) for number in range(count)))
            for outcome, times in sorted(told.items()):
                cells = [f"{quantile(times, part):.1f}" for part in (0.5, 0.99)]
                rows.append([stack.name, str(count), outcome, str(len(times)), *cells])
            common.say(f"{stack.name}, {count} at once: { {outcome: len(times) for outcome, times in told.items()} }")
    common.table("bursts", ["", "at once", "answer", "messages", "p50, s", "p99, s"], rows)


# --- soak ------------------------------------------------------------------------------------------------------------


async def soak(stack: Stack, seconds: float, rate: float) -> None:
    """Messages at a steady rate, and what each process and the database need, every minute."""
    rows: list[list[str]] = []
    told: Counter[str] = Counter()
    async with http_client() as http, asyncio.TaskGroup() as group:
        send = over_http(http, stack.api)

        async def count(number: int) -> None:
            told[await send(number)] += 1

        began, sent = time.monotonic(), 0
        while (elapsed := time.monotonic() - began) < seconds:
            if elapsed >= 60 * len(rows):
                rss = await asyncio.to_thread(stack.rss)
                sizes = [f"{rss[part]:.0f}" for part in PARTS]
                rows.append([f"{elapsed / 60:.0f}", *sizes, f"{stack.database():.1f}", str(sent), str(told[str(OK)])])
                common.say("  ".join(rows[-1]))
            while sent < rate * (time.monotonic() - began):
                group.create_task(count(sent))
                sent += 1
            await asyncio.sleep(min(0.5 / rate, 0.1))
    rss = stack.rss()
    sizes = [f"{rss[part]:.0f}" for part in PARTS]
    rows.append([f"{seconds / 60:.0f}", *sizes, f"{stack.database():.1f}", str(sent), str(told[str(OK)])])
    headers = ["minute", *[f"{part}, MB" for part in PARTS], "database, MB", "sent", "answered"]
    common.table(f"{stack.name}: {rate:g} messages/s for {seconds / 60:g} min", headers, rows)
    print(f"\nanswers: {dict(told)}")


def duration(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text}: write 90, 90s, 10m or 2h")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, None: 1}[match[2]]


def main() -> int:
    """Print the tables. Exit code 1: a stack did not come up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, metavar="DIR", help="another checkout, to compare with in this run")
    parser.add_argument("--in-flight", type=int, nargs="+", default=IN_FLIGHT, metavar="COUNT")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=duration, default=4.0, help="of one variant in one round")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--burst", type=int, nargs="+", metavar="COUNT", help="so many messages at once")
    which.add_argument("--soak", type=duration, metavar="TIME", help="a steady load, for 10m")
    parser.add_argument("--rate", type=float, default=5.0, help="messages per second of --soak")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(common.machine())
    try:
        with contextlib.ExitStack() as entered:
            stacks = [entered.enter_context(running("now", common.ROOT))]
            if options.against:
                stacks.append(entered.enter_context(running("before", options.against.resolve())))
            if options.soak:
                for stack in stacks:
                    asyncio.run(soak(stack, options.soak, options.rate))
            elif options.burst:
                asyncio.run(burst(stacks, options.burst))
            else:
                urls = {stack.name: entered.enter_context(awaiting_handler(stack)) for stack in stacks}
                asyncio.run(measure(stacks, urls, options.in_flight, options.seconds, options.rounds))
    except Failed as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
