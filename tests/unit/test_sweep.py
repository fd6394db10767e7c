"""What a sweep finds, and how long it waits for what it has killed."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

import psutil
import pytest
from mika.supervisor import sweep as module
from mika.supervisor.belongings import Belongings


@dataclass(eq=False)
class Dying:
    """Gone some seconds after SIGKILL; with `refuses` never."""

    clock: list[float]
    needs: float
    refuses: bool = False
    killed_at: float = float("inf")
    pid: int = 4_000_001

    @property
    def process(self) -> Dying:
        return self

    def kill(self) -> None:
        if self.refuses:
            raise psutil.AccessDenied(self.pid)
        self.killed_at = min(self.killed_at, self.clock[0])

    def is_alive(self) -> bool:
        return self.clock[0] < self.killed_at + self.needs


@pytest.mark.parametrize(
    ("needs", "refuses", "waited", "is_left"),
    [(0.0, False, 0.0, False), (5.0, False, 5.0, False), (1e9, False, 10.0, True), (0.0, True, 0.0, True)],
    ids=["dies at once", "dies slowly", "hangs in the kernel", "another user's"],
)
def test_what_was_killed_gets_time_to_die_and_what_refuses_does_not(monkeypatch, needs, refuses, waited, is_left):
    clock = [100.0]
    process = Dying(clock, needs, refuses)

    class Belongings:
        def alive(self) -> list[Dying]:
            return [process] if process.is_alive() else []

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(module, "time", type("Time", (), {"monotonic": lambda: clock[0], "sleep": staticmethod(sleep)}))
    monkeypatch.setattr(module, "identify", tuple)
    left = module.kill_tree(Belongings())
    assert left == ((process.pid,) if is_left else ())
    assert clock[0] - 100 == pytest.approx(waited, abs=0.1)


def test_a_process_whose_name_the_system_does_not_tell_is_found(monkeypatch):
    """Windows sometimes refuses to tell it: a guard was left behind."""

    def no_name(_: psutil.Process) -> str:
        raise OSError(87, "Invalid parameter")

    monkeypatch.setattr(psutil.Process, "name", no_name)
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=os.environ | {"MIKA_RUN_ID": "of-this-test"}) as process:
        found = Belongings({"of-this-test"}).alive()
        process.kill()
    assert [each.process.pid for each in found] == [process.pid]
