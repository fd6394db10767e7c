"""Starts on the Docker backend: until the first message is answered, beside `docker compose up -d --wait` and 60 s.

    python -m benchmarks.docker_start --runs 5         # cold and warm, mika and compose in turn
    python -m benchmarks.docker_start --cold 20        # cold only, mika only: is the first message always answered?

Needs an engine and the images of `tests/docker/images.py`. Cold is without volumes, warm is with those of a run before.
The message is sent in the moment in which `mika up -d` returns. Compose waits for services only, so the figure to set
beside it is `services`: until all services are usable. By hand, worker and API come after that.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.docker import dockerkit
from tests.docker.dockerkit import DockerBot

FIXED_WAIT_S = 60.0
Figures = dict[str, list[float]]


def by_mika(bot: DockerBot, figures: Figures, kind: str) -> bool:
    """One start and one message; whether it was answered at once."""
    began, at = time.monotonic(), time.time()
    up = bot.mika("up", "-d", timeout=dockerkit.START_S)
    returned = time.monotonic() - began
    if up.code:
        print(up, file=sys.stderr)
        return False
    answer = bot.post("the first message")
    if answer.status_code != 200:
        print(f"not answered: {answer.status_code} {answer.text}", file=sys.stderr)
        return False
    figures[f"{kind}, mika: first message answered"].append(time.monotonic() - began)
    figures[f"{kind}, mika: `mika up -d` returns"].append(returned)
    services = [event["at"] for event in bot.events("ready") if event["name"] in dockerkit.SERVICES]
    figures[f"{kind}, mika: services usable"].append(max(t for t in services if t >= at) - at)
    return True


def by_compose(bot: DockerBot, figures: Figures, kind: str) -> None:
    began = time.monotonic()
    bot.compose("up", "-d", "--wait")
    figures[f"{kind}, docker compose up -d --wait"].append(time.monotonic() - began)
    bot.compose("down")


def one_round(figures: Figures, *, only_cold: bool) -> int:
    """A round in a project of its own; returns how many first messages were not answered."""
    missed = 0
    with tempfile.TemporaryDirectory() as folder, DockerBot(Path(folder)) as bot:
        for kind in ("cold",) if only_cold else ("cold", "warm"):
            missed += not by_mika(bot, figures, kind)
            bot.mika("down")
    if not only_cold:
        with tempfile.TemporaryDirectory() as folder, DockerBot(Path(folder)) as bot:
            for kind in ("cold", "warm"):
                by_compose(bot, figures, kind)
    return missed


def main() -> int:
    """Print the table; exit 1 when a first message was not answered, 2 when it cannot be run here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cold", type=int, metavar="N", help="N cold starts by mika and nothing else")
    options = parser.parse_args()
    if why := dockerkit.obstacle():
        print(why, file=sys.stderr)
        return 2
    figures: Figures = defaultdict(list)
    missed = 0
    rounds = options.cold or options.runs
    for number in range(rounds):
        missed += one_round(figures, only_cold=options.cold is not None)
        print(f"round {number + 1} of {rounds}: {missed} not answered", file=sys.stderr, flush=True)
    for name, values in sorted(figures.items()):
        print(f"{name:42} median {statistics.median(values):5.1f} s   {min(values):.1f} to {max(values):.1f} s")
    print(f"{'a fixed wait':42}        {FIXED_WAIT_S:5.1f} s")
    print(f"first messages answered: {rounds * (1 if options.cold else 2) - missed}, not answered: {missed}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
