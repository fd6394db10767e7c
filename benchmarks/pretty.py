"""How many log lines become readable per second of CPU, by the kind of line: what `--pretty` costs.

    python -m benchmarks.pretty                  # 20 s

Nothing is read or written: the lines are in memory, and so is the result. The kinds take turns, so what drifts hits all
of them. The floor is `json.loads` of the JSON lines: nobody reads such a line in Python for less.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mika.cli.screen.pretty import Pretty
from mika.project.logs import Line

from benchmarks import common

NAMES = ("api", "worker", "temporal")
FLOOR = "json.loads of the JSON lines"
_BEGAN = 1795867200.0
_PER_SECOND = 700  # lines: each has another time, many have the same second


class Writer:
    """Lines as programs write them: ids and numbers differ, names and messages come again."""

    def __init__(self) -> None:
        self._random = random.Random(15)  # the same lines in each run
        self._number = 0
        self._ids = [""] * 8  # of the messages that are under way

    def _moment(self) -> datetime:
        self._number += 1
        return datetime.fromtimestamp(_BEGAN + self._number / _PER_SECOND, UTC)

    def _id(self) -> str:
        """A message writes four lines, on average."""
        one = self._random.randrange(len(self._ids))
        if not self._ids[one] or self._random.random() < 1 / 4:
            self._ids[one] = f"process_message_{self._random.getrandbits(128):032x}"
        return self._ids[one]

    def plain(self) -> str:
        return f"order {self._random.randrange(10**6)}: 3 items packed, waiting for the courier of the afternoon"

    def access(self) -> str:
        path = self._random.choice(("/webhook/langbot", "/healthz", "/history/2f1c8e", "/readyz"))
        port = self._random.randrange(30000, 60000)
        return f'INFO:     127.0.0.1:{port} - "POST {path} HTTP/1.1" {self._random.choice((200, 200, 422))} OK'

    def logging(self) -> str:
        stamp = f"{self._moment():%Y-%m-%d %H:%M:%S},{self._random.randrange(1000):03}"
        level = self._random.choice(("INFO", "INFO", "DEBUG", "WARNING"))
        return f"{stamp} - bot.activities.llm - {level} - asked the model, attempt {self._random.randrange(9)} of 9"

    def json(self) -> str:
        fields = {
            "workflow_id": self._id(),
            "attempt": self._random.randrange(1, 4),
            "elapsed_ms": self._random.randrange(3000),
            "event": self._random.choice(("llm_answered", "message_received", "reply_sent", "history_read")),
            "level": self._random.choice(("info", "info", "debug", "warning")),
            "timestamp": f"{self._moment():%Y-%m-%dT%H:%M:%S.%fZ}",
        }
        return json.dumps(fields)

    def logfmt(self) -> str:
        stamp = f"{self._moment():%Y-%m-%dT%H:%M:%S.%f}"[:-3]
        return f'time={stamp}Z level=INFO msg="order packed" order={self._id()} items={self._random.randrange(9)}'


def seconds_per_line(lines: list[Line], once: Callable[[Line], object]) -> float:
    """Of this process's CPU."""
    began = time.process_time()
    for line in lines:
        once(line)
    return (time.process_time() - began) / len(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--lines", type=int, default=10_000, help="of each kind")
    options = parser.parse_args()
    print(common.machine())
    writer = Writer()
    kinds = {
        "plain text": writer.plain,
        "uvicorn's access log": writer.access,
        "Python's logging": writer.logging,
        "JSON (structlog)": writer.json,
        "logfmt (Go's slog)": writer.logfmt,
    }
    lines = {
        kind: [Line(_BEGAN, write().encode(), is_complete=True) for _ in range(options.lines)]
        for kind, write in kinds.items()
    }
    for color in (False, True):
        show(
            f"{'with' if color else 'without'} colours",
            measure(lines, Pretty(NAMES, common.ROOT, color=color), options.runs),
        )


def measure(lines: dict[str, list[Line]], pretty: Pretty, runs: int) -> dict[str, list[float]]:
    """Seconds per line, by kind; after one round of warming up."""
    floor = partial(seconds_per_line, lines["JSON (structlog)"], lambda line: json.loads(line.data))
    variants = {FLOOR: floor}
    variants |= {
        kind: partial(seconds_per_line, of_kind, partial(pretty.line, "worker")) for kind, of_kind in lines.items()
    }
    found: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(runs + 1):
        for name, once in variants.items():
            took = once()
            if number:
                found[name].append(took)
    return found


def show(title: str, found: dict[str, list[float]]) -> None:
    rows = []
    for name, times in found.items():
        ratio = statistics.median(took / floor for took, floor in zip(times, found[FLOOR], strict=True))
        rates = [f"{1 / took:,.0f}" for took in (statistics.median(times), max(times), min(times))]
        rows.append([name, *rates, f"{ratio:.2f}"])
    common.table(title, ["kind", "lines per CPU second", "slowest", "fastest", "time / floor"], rows)


if __name__ == "__main__":
    main()
