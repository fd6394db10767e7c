"""Liveness: what is silent becomes unhealthy, then hung; what merely slept, or we did, does not."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable

import pytest
from mika.readiness.ladder import Certain, NotYet, Rung
from mika.reason import Reason
from mika.supervisor import watch as module
from mika.supervisor.watch import ALIVE_SECONDS, Liveness, watch


class Recorder:
    """Records what the watch says."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def rung_reached(self, rung: str, elapsed: float, detail: str) -> None:
        self.said.append(("reached", rung))

    def rung_waiting(self, rung: str, reason: Reason) -> None:
        self.said.append(("waiting", reason.text))

    def hopeless(self, reason: Reason) -> None:
        self.said.append(("hopeless", reason.text))

    def became_ready(self, detail: str) -> None:
        self.said.append(("ready", detail))

    def became_unready(self, reason: Reason) -> None:
        self.said.append(("unready", reason.text))

    def hung(self, reason: Reason) -> None:
        self.said.append(("hung", reason.text))


class Clock:
    """Time of the watch: each sleep takes exactly as long as was asked, unless a jump is set for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, jumps: dict[int, float] | None = None) -> None:
        self.now, self.sleeps, self.jumps = 0.0, 0, jumps or {}
        real = asyncio.sleep

        async def sleep(seconds: float) -> None:
            self.now += seconds + self.jumps.get(self.sleeps, 0.0)
            self.sleeps += 1
            await real(0)

        monkeypatch.setattr(module.asyncio, "sleep", sleep)
        monkeypatch.setattr(module.tasks, "sleep_until_tick", sleep)
        monkeypatch.setattr(module, "time", type("Time", (), {"monotonic": lambda: self.now}))


def probe_of(answers: Iterable[str | Exception | None]) -> Callable:
    """A text: it answers. None: it does not. An error is raised. Ends the watch when there is no more."""
    left = iter(answers)

    async def probe() -> str:
        answer = next(left, "end")
        if answer == "end":
            raise asyncio.CancelledError
        if answer is None:
            raise NotYet("no beat")
        if isinstance(answer, Exception):
            raise answer
        return answer

    return probe


def run(liveness: Liveness | None, rungs: list[Rung] | None = None) -> list[tuple[str, str]]:
    recorder = Recorder()

    async def main() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(watch(rungs or [], liveness, recorder), 10)

    asyncio.run(main())
    return recorder.said


def test_without_liveness_it_is_ready_and_that_is_all():
    async def there() -> str:
        return "up"

    assert run(None, [Rung("port", there)]) == [("reached", "port"), ("ready", "up")]
    assert run(None) == [("ready", "")]


def test_silence_is_unhealthy_at_half_and_hung_after_patience(monkeypatch):
    clock = Clock(monkeypatch)
    told = run(Liveness(probe_of([None] * 100), interval=1.0, patience=6.0))
    assert told == [("ready", ""), ("unready", "no beat"), ("hung", "no beat for 6 s")]
    assert clock.now == ALIVE_SECONDS + 6.0


def test_unhealthy_comes_at_half_of_the_patience(monkeypatch):
    Clock(monkeypatch)
    told = run(Liveness(probe_of([None, None, None, "back"]), interval=1.0, patience=6.0))
    assert told == [("ready", ""), ("unready", "no beat"), ("ready", "back")]
    assert run(Liveness(probe_of([None, None, "back"]), interval=1.0, patience=6.0)) == [("ready", "")]


def test_each_answer_makes_up_for_the_silence_before(monkeypatch):
    Clock(monkeypatch)
    told = run(Liveness(probe_of([None, None, "x"] * 50), interval=1.0, patience=6.0))
    assert told == [("ready", "")]


def test_what_answers_is_left_in_peace(monkeypatch):
    """Each request is a line in somebody's access log. Silence is looked at as often as ever, and lasts no longer."""
    clock = Clock(monkeypatch)
    asked: list[float] = []

    def times(answers: list[str | None]) -> Liveness:
        probe = probe_of(answers)

        async def noted() -> str:
            asked.append(clock.now - ALIVE_SECONDS)
            return await probe()

        return Liveness(noted, interval=2.0, patience=6.0, calm=5.0)

    told = run(times(["up", "up", None, "up", "up", None, None, None]))
    assert asked == [5, 10, 15, 17, 22, 27, 29, 31]
    assert told == [("ready", ""), ("unready", "no beat"), ("hung", "no beat for 6 s")]


def test_not_ours_is_never_called_hung(monkeypatch):
    Clock(monkeypatch)
    told = run(Liveness(probe_of([None] * 1000 + ["back"]), interval=2.0, patience=None))
    assert told == [("ready", ""), ("unready", "no beat"), ("ready", "back")]


def test_what_is_certain_replaces_the_reason_and_is_replaced_when_it_has_passed(monkeypatch):
    Clock(monkeypatch)
    answers = [Certain("ended"), Certain("removed"), Certain("removed"), None, None, NotYet("refused"), "back"]
    told = run(Liveness(probe_of(answers), interval=0.5, patience=None))
    assert told == [
        ("ready", ""),
        ("unready", "ended"),
        ("unready", "removed"),
        ("unready", "no beat"),  # of two guesses the first one stays: they may alternate for hours
        ("ready", "back"),
    ]


def test_a_reason_that_only_counts_is_said_once(monkeypatch):
    Clock(monkeypatch)
    told = run(Liveness(probe_of([Certain(f"failed {n} times") for n in range(9)]), interval=0.5, patience=None))
    assert told == [("ready", ""), ("unready", "failed 0 times")]


@pytest.mark.parametrize("hours", [0.01, 1, 100])
def test_a_clock_jump_is_not_silence(monkeypatch, hours):
    """A laptop that slept: the first probe after it fails, since the worker has not beaten yet either."""
    Clock(monkeypatch, jumps={3: hours * 3600})
    told = run(Liveness(probe_of(["a", "b", "c", None, "d"] + ["e"] * 5), interval=1.0, patience=6.0))
    assert told == [("ready", "")]


def test_after_a_jump_a_real_hang_is_still_found(monkeypatch):
    Clock(monkeypatch, jumps={2: 3600})
    told = run(Liveness(probe_of(["a", "b"] + [None] * 100), interval=1.0, patience=6.0))
    assert [what for what, _ in told] == ["ready", "unready", "hung"]


def test_a_probe_that_hangs_counts_as_silence(monkeypatch):
    monkeypatch.setattr(module, "PROBE_TIMEOUT", 0.05)

    async def hangs() -> str:
        await asyncio.sleep(3600)
        return ""

    began = time.monotonic()
    told = run(Liveness(hangs, interval=0.02, patience=0.3))
    assert [what for what, _ in told] == ["ready", "unready", "hung"]
    assert told[1] == ("unready", "no answer")
    assert time.monotonic() - began < 5
