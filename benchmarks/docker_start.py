"""Starts on the Docker backend, for `benchmarks.startup --docker`; and whether the first message is always answered.

    python -m benchmarks.docker_start --cold 20        # cold starts by mika; exit 1 when one message was not answered

Needs an engine and the images of `tests.kit.docker.images`. Cold is without volumes, warm with those of the last run.
By mika, the message is sent in the moment in which `mika up -d` returns. By hand, worker and API are started with the
commands and the environment that mika gives them, in the moment in which compose returns, and the message is posted
until it is answered.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common, startup
from benchmarks.common import Failed, Place
from tests.kit.docker import bot as docker_bot
from tests.kit.docker.bot import DockerBot

UP, WAIT, FIXED = "mika up -d", "docker compose up -d --wait, then the rest", "a fixed wait of 60 s, then the rest"
Figures = dict[tuple[str, str], list[float]]
"""Seconds by variant and by what was reached."""
Start = Callable[[DockerBot, Figures], None]


@contextlib.contextmanager
def a_bot() -> Iterator[DockerBot]:
    with tempfile.TemporaryDirectory() as folder, DockerBot(Path(folder)) as bot:
        yield bot


def by_mika(bot: DockerBot, figures: Figures) -> None:
    """One start and one message. Raises Failed when it is not answered at once."""
    began, at = time.monotonic(), time.time()
    up = bot.mika("up", "-d", timeout=docker_bot.START_S)
    if up.code:
        raise Failed(str(up))
    answer = bot.post("the first message")
    if answer.status_code != startup.OK:
        raise Failed(f"not answered: {answer.status_code} {answer.text}")
    figures[UP, "first answer"].append(time.monotonic() - began)
    ready = [event["at"] for event in bot.events("ready") if event["name"] in docker_bot.SERVICES]
    figures[UP, "services usable"].append(max(t for t in ready if t >= at) - at)
    bot.ok("down")


def by_compose(bot: DockerBot, figures: Figures) -> None:
    began = time.monotonic()
    bot.compose("up", "-d", "--wait")
    figures[WAIT, "services usable"].append(time.monotonic() - began)
    with processes(bot) as place:
        startup.until_answered(place)
    figures[WAIT, "first answer"].append(time.monotonic() - began)
    bot.compose("down")


def by_patience(bot: DockerBot, figures: Figures) -> None:
    """The way of the tutorial."""
    began = time.monotonic()
    bot.compose("up", "-d")
    time.sleep(startup.SEED_WAIT)
    with processes(bot) as place:
        startup.until_answered(place)
    figures[FIXED, "first answer"].append(time.monotonic() - began)
    bot.compose("down")


@contextlib.contextmanager
def processes(bot: DockerBot) -> Iterator[Place]:
    """Worker and API, started at once."""
    mark = secrets.token_hex(8)
    place = Place(bot.folder, mark, {**bot.environ(), common.MARK: mark})
    try:
        with mock.patch.dict(os.environ, place.env):  # compose is asked for the address of MongoDB
            specs = startup.specs(place)
        with (bot.folder / "hand.out").open("wb") as output:
            for spec in specs:
                startup.run_spec(place, spec, output)
        yield place
    finally:
        common.reap(mark)


def one_round(starts: dict[str, Start], figures: dict[str, Figures]) -> None:
    for start in starts.values():
        with a_bot() as bot:
            for kind in ("cold", "warm"):
                start(bot, figures[kind])


def compare(runs: int, *, seed: bool) -> int:
    """Print the tables; 1 when a first message was not answered, 2 when it cannot be run here."""
    if why := docker_bot.obstacle():
        common.say(why)
        return 2
    starts: dict[str, Start] = {UP: by_mika, WAIT: by_compose}
    figures: dict[str, Figures] = {"cold": defaultdict(list), "warm": defaultdict(list)}
    try:
        common.say("warming up (page cache)")
        one_round(starts, {"cold": defaultdict(list), "warm": defaultdict(list)})
        for number in range(runs):
            one_round(starts if number % 2 else dict(reversed(starts.items())), figures)
            common.say(f"run {number + 1} of {runs}")
        if seed:
            common.say(f"the fixed wait of {startup.SEED_WAIT:.0f} s, once")
            one_round({FIXED: by_patience}, figures)
    except Failed as error:
        common.say(str(error))
        return 1
    for kind, title in (("cold", "new volumes"), ("warm", "volumes of the run before")):
        floor = figures[kind]
        rows = []
        for reached in ("services usable", "first answer"):
            for variant in (UP, WAIT, FIXED):
                if taken := floor.get((variant, reached)):
                    ratio = startup.ratio(taken, floor[UP, reached])
                    rows.append([f"{reached}: {variant}", *common.spread(taken, 1), ratio])
        headers = ["s from the command until", "median", "min", "max", "median of ratios"]
        common.table(f"Docker, {title}, {runs} runs", headers, rows)
    return 0


def cold_starts(count: int) -> int:
    """So many starts without volumes, and nothing else; exit code as `compare`."""
    if why := docker_bot.obstacle():
        common.say(why)
        return 2
    figures: Figures = defaultdict(list)
    missed = 0
    for number in range(count):
        with a_bot() as bot:
            try:
                by_mika(bot, figures)
            except Failed as error:
                missed += 1
                common.say(str(error))
        common.say(f"cold start {number + 1} of {count}: {missed} not answered")
    rows = [[reached, *common.spread(taken, 1)] for (_, reached), taken in figures.items()]
    headers = ["s from the command until", "median", "min", "max"]
    common.table(f"{count} cold starts: {count - missed} first messages answered, {missed} not", headers, rows)
    return 1 if missed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cold", type=int, metavar="N", default=20, help="how many (default 20)")
    return cold_starts(parser.parse_args().cold)


if __name__ == "__main__":
    sys.exit(main())
