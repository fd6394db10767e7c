"""Two of everything: two commands at the same moment, or a command and a kill. One stack is left, or none.

`python -m tests.integration.test_pairs --rounds 50 --load 2` plays each pair 50 times beside two busy loops, and prints
what came of it. `MIKA_ROUNDS=50` does the same for pytest, which plays two commands twice: at the same moment, and not
quite. A kill comes while the command is at work, whichever round it is, so it is played once.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from mika.errors import NotRunningError
from mika.project.folder import ProjectDir

from tests.kit.machine import poll_until, posix_only, takes_long
from tests.kit.programs import SLOW_STOP
from tests.kit.project import Project
from tests.kit.runs import Running

ROUNDS = int(os.environ.get("MIKA_ROUNDS", "0"))  # 0: as above
BOUND = 30.0  # s for each command; an ordinary one takes less than 1 s
SPREAD = 1.2  # s; in every second round one begins up to this much later, to meet each moment of the other
AT_WORK = 0.5  # s; what a command takes at least, so that a kill within it meets something
GRACE = 6.0  # s; a program needs 0.2 s to stop, so that one that was killed before shows
TREES = Counter({"guard web": 1, "web": 1, "guard clock": 1, "clock": 1})
TOML = "".join(f'[process.{name}]\nready = "log:here"\ngrace = {GRACE}\n' for name in ("web", "clock"))

STOPPED = {1: "(it|the stack) was stopped before it was ready"}
KILLED = {1: "the supervisor exited with code -9"}
UP = {0: r"ready after|already up|attached to supervisor"}
DOWN = {0: "^stopped|^nothing is running in"}
RESTART = {0: "^ready: web"}
GONE = {3: "no stack is running in"}
STOPPING = {1: "the stack is (starting or )?stopping"}


@dataclass(frozen=True)
class Pair:
    """Two actions, each a command of mika or a `kill -9`, and by exit code what they may say (a pattern)."""

    first: str
    second: str
    is_up: bool  # before
    says: dict[int, str]
    replies: dict[int, str]
    is_settled: bool = True  # before the `down` at the end of a round

    @property
    def kills(self) -> bool:
        return "kill" in self.second


PAIRS = {
    "up, up": Pair("up", "up", False, UP, UP),
    "up -d, up -d": Pair("up -d", "up -d", False, UP, UP),
    "up, up -d": Pair("up", "up -d", False, UP, UP),
    "up, down": Pair("up", "down", False, {0: ""}, DOWN),
    "up -d, down": Pair("up -d", "down", False, UP | STOPPED, DOWN),
    "up -d, down of a stack": Pair("up -d", "down", True, UP | STOPPED, DOWN),
    "up, down of a stack": Pair("up", "down", True, UP | STOPPED, DOWN),
    "down, restart": Pair("down", "restart web", True, DOWN, RESTART | GONE | STOPPING),
    "down, down": Pair("down", "down", True, DOWN, DOWN),
    "restart, restart": Pair("restart web", "restart web", True, RESTART, RESTART),
    "up, kill": Pair("up", "kill command", False, {-9: ""}, {}),
    "up, kill of a stack": Pair("up", "kill supervisor", True, {0: "ready after", 1: "the supervisor was killed"}, {}),
    "up -d, kill": Pair("up -d", "kill command", False, UP | {-9: ""}, {}),
    "up -d, kill, then down": Pair("up -d", "kill command", False, UP | {-9: ""}, {}, is_settled=False),
    "up -d, kill of the supervisor": Pair("up -d", "kill supervisor", False, UP | KILLED, {}),
    "up -d, kill of a stack": Pair("up -d", "kill supervisor", True, UP | STOPPED, {}),
    "down, kill of the supervisor": Pair("down", "kill supervisor", True, DOWN, {}),
    "restart, crash": Pair("restart web", "kill web", True, RESTART, {}),
    "restart, kill of the supervisor": Pair("restart web", "kill supervisor", True, RESTART | GONE, {}),
}


# --- one round --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def two_processes(parent: Path) -> Iterator[Project]:
    code = SLOW_STOP.format(seconds=0.2)
    procfile = "web: python -IS web.py\nclock: python -IS clock.py\n"
    with Project(parent, procfile, scripts={"web": code, "clock": code}, toml=TOML) as this:
        yield this


def play(this: Project, pair: Pair, rng: random.Random, number: int, spread: float = SPREAD) -> str:
    """The round of this number, from its start until all is gone; returns what came of it."""
    delay = rng.uniform(0.0, spread)
    if pair.is_up:
        this.up()
    actions = [(pair.first, pair.says), (pair.second, pair.replies)]
    if not pair.kills and rng.random() < 0.5:
        actions.reverse()
    commands: dict[Running, dict[int, str]] = {}
    for action, words in actions:
        if action.startswith("kill"):
            kill(this, next(iter(commands)), action, delay)
        else:
            time.sleep(delay if commands and number % 2 else 0.0)
            commands[this.start_mika(*action.split())] = words
    told = sorted(finish(command) for command in commands)
    is_up = settle(this, list(commands)) if pair.is_settled else None
    if is_up is not None:
        status = this.mika("status")
        assert status.code == (0 if is_up else 3), status
        assert re.search("ready" if is_up else "no stack is running in", status.text), status
    take_down(this, list(commands), is_up=is_up)
    for command, words in commands.items():
        assert_true(command, words)
    if not pair.kills:
        for name in ("web", "clock"):
            log = this.log(name)
            assert log.count("here") <= log.count("stopped\n"), f"{name} was killed before its grace period was over"
    return f"{', '.join(told)} -> {'one stack' if is_up else 'down' if is_up is None else 'none'}"


def kill(this: Project, first: Running, action: str, delay: float) -> None:
    """`kill -9` of what the action names, `delay` s after it is there; of nothing when it has ended already."""
    match action.split()[1]:
        case "command":
            time.sleep(delay)
            first.popen.kill()
        case "supervisor":
            pid = poll_until(lambda: supervisor(this) or first.popen.poll() is not None, BOUND, "a supervisor")
            time.sleep(delay)
            with contextlib.suppress(psutil.NoSuchProcess):
                if pid is not True:
                    psutil.Process(pid).kill()
        case script:
            time.sleep(delay)
            for process in this.alive(f"{script}.py"):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


def supervisor(this: Project) -> int:
    """The pid of the background part of `up -d`, which need not have the lock yet."""
    return next((process.pid for process in this.alive() if "--serve" in process.cmdline()), 0)


def finish(command: Running) -> str:
    """Wait for its end, unless it is an `up` that stays; its name and what it came to."""
    if "-d" in command.name or " up" not in command.name:
        return f"{command.name} {command.wait(BOUND)}"
    poll_until(lambda: command.popen.poll() is not None or "ready" in command.output(), BOUND, "ready, or the end")
    return f"{command.name} {'stays' if command.popen.poll() is None else command.popen.poll()}"


def settle(this: Project, commands: list[Running]) -> bool:
    """Wait until nothing is under way any more; whether there is a stack. Fails unless there is one, or nothing."""
    seen: object = None

    def look() -> str:
        nonlocal seen
        names: Counter[str] = Counter()
        others = set()
        for process in this.alive():
            environ = process.environ()
            if name := environ.get("MIKA_GUARD"):
                names[f"guard {name}"] += 1
            elif name := environ.get("MIKA_PROCESS"):
                names[name] += 1
            else:
                others.add(process.pid)
        staying = {command.pid for command in commands if command.popen.poll() is None}
        seen = names, others, staying
        if not (names or others):
            return "none"
        try:
            status = this.status()
        except NotRunningError:
            return ""
        is_one = names == TREES and others == staying | {status["supervisor"]["pid"]}
        return "one" if is_one and status["state"] == "ready" else ""

    try:
        return poll_until(look, BOUND, "exactly one stack, or none", step=0.1) == "one"
    except AssertionError as error:
        error.add_note(f"processes, commands, staying: {seen}")
        raise


def assert_true(command: Running, words: dict[int, str]) -> None:
    """Its exit code, and what it said."""
    code, output = command.popen.poll(), command.output()
    assert code in words, f"{command.name} -> {code}\n{output}"
    assert re.search(words[code], output, re.MULTILINE), f"{command.name} -> {code}\n{output}"
    assert "Traceback" not in output, output
    assert "this is a fault of mika" not in output, output


def take_down(this: Project, commands: list[Running], *, is_up: bool | None) -> None:
    """`mika down`; after it nothing is left and nothing starts, however long what is under way still takes."""
    down = this.ok("down", timeout=BOUND)
    expected = {True: "stopped", False: "nothing is running in", None: ""}[is_up]
    assert expected in down.out, down
    for command in commands:
        command.wait(BOUND)
    folder = ProjectDir(this.folder)
    deadline = time.monotonic() + BOUND
    while left := this.alive():  # as long as nothing is alive, nothing can start either
        assert folder.read_state() is None, f"a stack that was started after `mika down`: {left}"
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


# --- the tests --------------------------------------------------------------------------------------------------------


@takes_long
@posix_only
@pytest.mark.timeout(100 + 20 * ROUNDS)
@pytest.mark.parametrize("name", PAIRS)
def test_two_at_the_same_moment(tmp_path, name):
    pair, rng = PAIRS[name], random.Random(name)
    with two_processes(tmp_path) as this:
        if ROUNDS or not pair.kills:
            for number in range(ROUNDS or 2):
                play(this, pair, rng, number)
        else:
            play(this, pair, rng, 0, spread=AT_WORK)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.integration.test_pairs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--load", type=int, default=2, metavar="N", help="busy loops beside it")
    parser.add_argument("--seed", type=int, default=1, help="chooses the moments")
    parser.add_argument("pairs", nargs="*", metavar="PAIR", help=f"of: {'; '.join(PAIRS)} (default: all)")
    given = parser.parse_args()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(given.load)]
    try:
        failed = sum(_many(name, given.rounds, given.seed) for name in given.pairs or PAIRS)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    return 1 if failed else 0


def _many(name: str, rounds: int, seed: int) -> int:
    """All rounds of one pair, in a new folder after each failure; how many failed."""
    rng = random.Random(f"{seed} {name}")
    outcomes: Counter[str] = Counter()
    began, done, failed = time.monotonic(), 0, 0
    while done < rounds:
        with tempfile.TemporaryDirectory(prefix="mika-pairs-") as folder:
            try:
                with two_processes(Path(folder)) as this:
                    while done < rounds:
                        done += 1
                        outcomes[play(this, PAIRS[name], rng, done)] += 1
            except AssertionError as error:
                failed += 1
                print(f"FAILED {name}, round {done}: {error}", *getattr(error, "__notes__", ()), sep="\n", flush=True)
    print(f"{name}: {rounds} rounds in {time.monotonic() - began:.0f} s, {failed} failed", flush=True)
    for outcome, count in outcomes.most_common():
        print(f"    {count:3} {outcome}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
