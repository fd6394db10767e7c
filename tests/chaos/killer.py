"""The killer: what dies, when, and how long it takes until it is back."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from tests.chaos.options import RECOVERY, Options
from tests.kit.bot import Bot
from tests.kit.machine import poll_until

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
