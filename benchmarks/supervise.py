"""Supervision of two services: restart after kill -9, cost when idle, time to stop, what stays after its own kill -9.

    python -m benchmarks.supervise
    python -m benchmarks.supervise --stack          # the idle cost of mika with the whole bot stack, too

A restart is timed from the kill to the first statement of the replacement, so a start of the interpreter is in it; the
floor is a loop that does nothing but waitpid and Popen. `over the floor` is what the supervisor itself needs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common, startup, tools
from benchmarks.common import Failed, Memory, Place
from benchmarks.tools import Plan, Tool

NAMES = ("one", "two")
SLEEPER = Path(__file__).with_name("sleeper.py")
STOP_NEEDS = 0.5  # s, see sleeper.py


@dataclass(slots=True)
class Found:
    restarts: list[float] = field(default_factory=list)
    idle: float | None = None  # % of one core
    memory: Memory | None = None
    processes: int = 0
    stops: list[float] = field(default_factory=list)
    orphans: list[int] = field(default_factory=list)
    trouble: str = ""


def argv(place: Place, name: str) -> list[str]:
    return [sys.executable, "-I", "-S", str(SLEEPER), str(place.folder), name]


def life(place: Place, name: str) -> tuple[int, float] | None:
    """Pid of the newest process of that name, and when it began (monotonic clock)."""
    try:
        pid, at = (place.folder / f"{name}.life").read_text(encoding="ascii").split()
    except (FileNotFoundError, ValueError):
        return None
    return int(pid), float(at)


def another_life(place: Place, name: str, old: int) -> tuple[int, float] | None:
    found = life(place, name)
    return found if found and found[0] != old else None


@contextlib.contextmanager
def running(tool: Tool) -> Iterator[tuple[Place, Plan, subprocess.Popen[bytes]]]:
    with common.place() as place:
        plan = tool.plan(place.folder, {name: argv(place, name) for name in NAMES})
        place.env |= plan.env
        with (place.folder / "output").open("wb") as output:
            process = place.run(plan.argv, output)
        try:
            for name in NAMES:
                common.wait_for(f"start of {name}", partial(life, place, name), 30)
            yield place, plan, process
        finally:
            common.reap(place.mark)
            process.wait(10)


def services(place: Place) -> set[int]:
    return {found[0] for name in NAMES if (found := life(place, name))}


def own(place: Place) -> list[int]:
    """The supervisor and whatever it needs to run the services, without the services."""
    return [pid for pid in common.marked(place.mark) if pid not in services(place)]


def kill(place: Place, name: str) -> float:
    """Seconds from kill -9 to the first statement of the replacement."""
    found = life(place, name)
    assert found is not None
    before = time.monotonic()
    os.kill(found[0], signal.SIGKILL)
    after = common.wait_for(f"restart of {name}", partial(another_life, place, name, found[0]), 15, step=0.002)
    return after[1] - before


# --- one tool --------------------------------------------------------------------------------------------------------


def measure(tool: Tool, rounds: int, seconds: float) -> Found:
    found = Found()
    with contextlib.suppress(Failed):
        lives(tool, rounds, seconds, found)
    for _ in range(rounds):
        try:
            with running(tool) as (place, plan, process):
                settle()
                found.stops.append(stop(place, plan, process))
            with running(tool) as (place, plan, process):
                settle()
                found.orphans.append(orphans(place, plan, process))
        except Failed as error:
            found.trouble = str(error)
    return found


def settle() -> None:
    time.sleep(1.0)  # what a tool does after its start is over; it is the same for all


def lives(tool: Tool, rounds: int, seconds: float, found: Found) -> None:
    """Idle for a while, then kill each service; that again, since a supervisor may wait longer the second time."""
    idle: list[float] = []
    with running(tool) as (place, _, _):
        settle()
        for number in range(rounds):
            pids = own(place)
            began, used = time.monotonic(), common.cpu_seconds(pids)
            time.sleep(seconds)
            idle.append(100 * (common.cpu_seconds(pids) - used) / (time.monotonic() - began))
            found.idle = statistics.median(idle)
            if number == 0:
                found.memory, found.processes = common.memory(pids), len(pids)
            if tool.restarts:
                try:
                    found.restarts += [kill(place, name) for name in NAMES]
                except Failed as error:
                    found.trouble = str(error)
                    raise


def stop(place: Place, plan: Plan, process: subprocess.Popen[bytes]) -> float:
    """Seconds until the supervisor has ended and no service is left."""
    began = time.monotonic()
    if plan.stop:
        place.run(plan.stop).wait(30)
    else:
        common.stop(process)
    common.wait_for("end of the services", lambda: not any(map(common.alive, services(place))), 15)
    return time.monotonic() - began


def orphans(place: Place, plan: Plan, process: subprocess.Popen[bytes]) -> int:
    """Services that are there 5 s after kill -9 of the supervisor."""
    pid = int(plan.pid_file.read_text(encoding="ascii")) if plan.pid_file else process.pid
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + STOP_NEEDS + 5
    while (left := common.marked(place.mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return len(left)


# --- the floor -------------------------------------------------------------------------------------------------------


def floor(rounds: int) -> Found:
    """The least that anybody can do: a thread that waits for the process and starts it again."""
    found = Found()
    with common.place() as place:
        ending = threading.Event()

        def keep(name: str) -> None:
            while not ending.is_set():
                place.run(argv(place, name)).wait()

        threads = [threading.Thread(target=keep, args=(name,), daemon=True) for name in NAMES]
        for thread in threads:
            thread.start()
        try:
            for name in NAMES:
                common.wait_for(f"start of {name}", partial(life, place, name), 30)
            for _ in range(rounds):
                settle()
                found.restarts += [kill(place, name) for name in NAMES]
        finally:
            ending.set()
            common.reap(place.mark)
            for thread in threads:
                thread.join(5)
    return found


# --- the whole stack -------------------------------------------------------------------------------------------------


def stack(seconds: float) -> None:
    """mika with the real server, API and worker, at rest after one answered message."""
    rows = []
    with startup.project() as place, startup.by_mika(place):
        startup.until_answered(place)
        time.sleep(5)
        parts = common.mika_parts(place.mark)
        groups = {name: parts[name] for name in ("supervisor", "guards")}
        groups["both"] = [pid for pids in list(groups.values()) for pid in pids]
        before = {name: common.cpu_seconds(pids) for name, pids in groups.items()}
        time.sleep(seconds)
        for name, pids in groups.items():
            used = 100 * (common.cpu_seconds(pids) - before[name]) / seconds
            size = common.memory(pids)
            rows.append(
                [f"{name} ({len(pids)})", f"{used:.2f}", f"{size.rss:.1f}", f"{size.pss:.1f}", f"{size.uss:.1f}"]
            )
    headers = ["mika, whole bot stack", "idle CPU, %", "RSS, MB", "PSS, MB", "USS, MB"]
    common.table(f"idle for {seconds:g} s with Temporal, API and worker", headers, rows)


# --- output ----------------------------------------------------------------------------------------------------------


def row(name: str, found: Found, base: float, *, restarts: bool = True) -> list[str]:
    cells = [name]
    if found.restarts:
        middle = statistics.median(found.restarts)
        cells += [f"{middle:.3f}", f"{max(found.restarts):.3f}", f"{middle - base:+.3f}"]
    else:
        cells += ["no" if not restarts else "-", "-", "-"]
    size = found.memory
    cells += [f"{found.idle:.2f}" if found.idle is not None else "-"]
    cells += [f"{found.processes}", f"{size.rss:.0f}", f"{size.pss:.0f}", f"{size.uss:.0f}"] if size else ["-"] * 4
    cells += [f"{statistics.median(found.stops) - STOP_NEEDS:+.2f}" if found.stops else "-"]
    cells += ["/".join(map(str, found.orphans)) if found.orphans else "-", found.trouble]
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--seconds", type=float, default=61.0, help="of idling, before each kill: mika then forgets the last"
    )
    parser.add_argument("--tool", action="append", default=[], help="only this one (may be repeated)")
    parser.add_argument("--stack", action="store_true", help="also the idle cost of mika with the whole bot stack")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(common.machine())
    lowest = floor(options.rounds)
    base = statistics.median(lowest.restarts)
    rows = [row("the floor: waitpid and Popen", lowest, base)]
    for tool in tools.present(options.tool):
        try:
            found = measure(tool, options.rounds, options.seconds)
        except OSError as error:
            found = Found(trouble=str(error))
        rows.append(row(tool.name, found, base, restarts=tool.restarts))
        common.say("  ".join(rows[-1]))
    headers = ["tool", "restart, s", "slowest", "over the floor", "idle CPU, %"]
    headers += ["processes", "RSS, MB", "PSS", "USS", "stop beyond 0.5 s", "left after kill -9", "remark"]
    common.table(f"2 services, {options.rounds} rounds, idle for {options.seconds:g} s before each kill", headers, rows)
    print(f"\n{tools.absent()}")
    if options.stack:
        stack(max(options.seconds, 30.0))


if __name__ == "__main__":
    main()
