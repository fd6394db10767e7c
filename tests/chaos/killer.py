"""The killer: what dies, stops or runs out, when, and how long it takes until all is back."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil

from tests.chaos import shortages
from tests.chaos.commands import Commands
from tests.chaos.options import RECOVERY, Options
from tests.kit.bot import Bot
from tests.kit.clock import Clock
from tests.kit.machine import poll_until

# Eight failures in a row, none of them after 10 s of readiness, are a give-up by design: chaos keeps below.
SETTLE, BUDGET = 10.0, 6
UNITS = ("worker", "api", "temporal")
SHORTAGES = {"full disk": shortages.full_disk, "no descriptors": shortages.no_descriptors}


@dataclass
class Kill:
    target: str
    at: float  # time.monotonic()
    back: float | None = None  # s until the replacement was ready


class Killer:
    """Chooses from a seed what dies and when, and waits until it is back."""

    def __init__(
        self, bot: Bot, options: Options, commands: Commands, clock: Clock | None, say: Callable[[str], None]
    ) -> None:
        self.kills: list[Kill] = []
        self.gave_up = self.failed_ups = 0
        self._bot, self._options, self._commands, self._clock, self._say = bot, options, commands, clock, say
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
            elif target.startswith("suspended"):
                self._suspend_guard(target)
            elif target == "clock set":
                self._set_clock()
            elif target in SHORTAGES:
                self._run_short(target)
            else:
                self._round(target)

    def _choose(self) -> str:
        weights = self._options.weights
        allowed = [name for name in weights if self._quick[_unit(name)] < BUDGET]
        return self._rng.choices(allowed, [weights[name] for name in allowed])[0]

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
        pid = self._pid(name, other_than)
        victim = guard_of(pid).pid if target.startswith("guard") else pid
        now = time.monotonic()
        os.kill(victim, signal.SIGSTOP if target.endswith("stopped") else signal.SIGKILL)
        if now - self._ready_at.get(name, now) >= SETTLE:
            self._quick[name] = 0
        self._quick[name] += 1
        kill = Kill(target, now)
        self.kills.append(kill)
        return kill, pid

    def _pid(self, name: str, other_than: int = 0) -> int:
        def look() -> int:
            found = self._bot.unit(name)
            self._revive(found)
            return found["pid"] if found["pid"] not in (None, other_than) else 0

        return poll_until(look, RECOVERY, f"a process of {name}", step=0.02)

    def _suspend_guard(self, target: str) -> None:
        """Then either `mika restart` meets it, or its process dies, which it does not notice."""
        name = _unit(target)
        pid = self._pid(name)
        guard_of(pid).suspend()
        kill = Kill(target, time.monotonic())
        self.kills.append(kill)
        if self._rng.random() < 0.5:
            result = self._commands.run("restart", name)
            if result.code:
                self._say(f"after SIGSTOP of the {target}: {result}")
        else:
            os.kill(pid, signal.SIGKILL)
            self._quick[name] += 1
        self._await(kill, pid)

    def _set_clock(self) -> None:
        """By a moment or by an hour, forwards or back, and then something dies, whose start was under the old clock."""
        assert self._clock is not None
        ahead = self._rng.choice((-3600, -5, 0, 5, 3600))
        self._clock.set_to(ahead)
        self._say(f"{len(self.kills):4} the clock is {ahead:+} s ahead")
        kill, pid = self._hit(self._rng.choice([name for name in UNITS if self._quick[name] < BUDGET]))
        self._await(kill, pid)

    def _run_short(self, target: str) -> None:
        """For some seconds; sometimes a unit dies meanwhile."""
        kill = Kill(target, time.monotonic())
        self.kills.append(kill)
        victim = self._rng.choice([None, *(name for name in UNITS if self._quick[name] < BUDGET)])
        pid = self._pid(victim) if victim else 0
        with SHORTAGES[target](self._bot):
            time.sleep(self._rng.uniform(0.0, 2.0))
            if victim:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                self._quick[victim] += 1
            time.sleep(self._rng.uniform(1.0, 4.0))

        def look() -> bool:
            status = self._bot.status()
            for unit in (*status["services"], *status["processes"]):
                self._revive(unit)
            return status["state"] == "ready"

        poll_until(look, RECOVERY, f"the stack ready again after: {target}")
        kill.back = time.monotonic() - kill.at
        self._say(f"{len(self.kills):4} {target}{f' and a kill of {victim}' if victim else ''}: {kill.back:.2f} s")

    def _await(self, kill: Kill, pid: int) -> None:
        name = _unit(kill.target)

        def look() -> bool:
            found = self._bot.unit(name)
            self._revive(found)
            return found["state"] == "ready" and found["pid"] != pid

        poll_until(look, RECOVERY, f"{name} ready again", step=0.02)
        self._ready_at[name] = time.monotonic()
        kill.back = self._ready_at[name] - kill.at
        self._say(f"{len(self.kills):4} {kill.target}: back after {kill.back:.2f} s")

    def _revive(self, unit: dict[str, Any]) -> None:
        if unit["phase"] == "gave_up":
            self.gave_up += 1
            self._commands.run("start", unit["name"])

    def _kill_supervisor(self, target: str) -> None:
        supervisor = psutil.Process(self._bot.status()["supervisor"]["pid"])
        victims = [supervisor, *(supervisor.children() if target.endswith("guards") else ())]
        kill = Kill(target, time.monotonic())
        for process in victims:
            process.suspend()  # so that none sees another one end
        for process in victims:
            process.kill()
        self.kills.append(kill)
        while (result := self._commands.run("up", "-d")).code:
            self.failed_ups += 1
            self._say(f"`mika up` failed after a kill of {target}: {result}")
            if self.failed_ups > 3:
                raise AssertionError(str(result))
        now = time.monotonic()
        self._quick.clear()
        self._ready_at = dict.fromkeys(UNITS, now)
        kill.back = now - kill.at
        self._say(f"{len(self.kills):4} {kill.target}: back after {kill.back:.2f} s")


def guard_of(pid: int) -> psutil.Process:
    """The guard above a process, which may be below a shell."""
    return next(parent for parent in psutil.Process(pid).parents() if "MIKA_GUARD" in parent.environ())


def _unit(target: str) -> str:
    """Which unit's restart budget a target uses."""
    return next((name for name in UNITS if name in target), target)
