"""How quick the short commands are, as ratios to `python -c "import click"` in the same run.

    python -m benchmarks.commands                # 1 min

Every command is measured as a whole process, from the spawn to its exit; the variants take turns, so what drifts hits
all of them. `first line` is the time from the spawn of a supervisor until a one-line program, which it starts, is seen
on its standard output; other supervisors are measured beside mika where they are on PATH.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common, tools
from benchmarks.common import Failed, Place

FLOOR = "python -c 'import click'"
GREETING = b"hello from the program"
SERVICES = {"web": [sys.executable, "-c", f"import time; print({GREETING.decode()!r}, flush=True); time.sleep(60)"]}
SLEEPERS = {name: [sys.executable, "-c", "import time; time.sleep(600)"] for name in ("one", "two")}
COMPARED = ("mika", "honcho", "goreman", "hivemind", "process-compose")
DEADLINE = 30.0  # s


def seconds_of(place: Place, argv: Sequence[str]) -> float:
    began = time.monotonic()
    place.run(argv).wait(DEADLINE)
    return time.monotonic() - began


def seconds_to_first_line(tool: tools.Tool) -> float:
    """Raises Failed when the line does not come."""
    with common.place({"PYTHONUNBUFFERED": "1"}) as place:
        plan = tool.plan(place.folder, SERVICES)
        began = time.monotonic()
        with place.run(plan.argv, subprocess.PIPE, env={**place.env, **plan.env}) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    # The command itself may be quoted before it runs.
                    if GREETING in line and b"import" not in line:
                        return time.monotonic() - began
                    if time.monotonic() - began > DEADLINE:
                        break
            finally:
                with contextlib.suppress(Failed):
                    common.stop(process)
    raise Failed("its output never showed the line")


@contextlib.contextmanager
def running_stack() -> Iterator[Place]:
    """Two idle processes under mika."""
    with common.place() as place:
        tools.procfile(place.folder, SLEEPERS)
        (place.folder / "mika.toml").write_text('backend = "none"\n', encoding="utf-8")
        if place.run([*common.mika(), "up", "-d"]).wait(DEADLINE):
            raise Failed("the stack did not come up")
        try:
            yield place
        finally:
            place.run([*common.mika(), "down"]).wait(DEADLINE)


def measure(variants: Mapping[str, Callable[[], float]], runs: int) -> dict[str, list[float]]:
    """Interleaved, after one round of warming up."""
    results: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(runs + 1):
        for name, once in variants.items():
            took = once()
            if number:
                results[name].append(took)
    return results


def show(title: str, results: Mapping[str, list[float]], floor: str, wanted: Mapping[str, str]) -> None:
    rows = []
    for name, times in results.items():
        ratios = [took / base for took, base in zip(times, results[floor], strict=True)]
        rows.append(
            [name, f"{statistics.median(times):.3f} s", f"{statistics.median(ratios):.2f}", wanted.get(name, "")]
        )
    common.table(title, ["command", "median", f"median of ratios to {floor}", "target"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    mika = common.mika()
    with running_stack() as place:
        commands = {
            FLOOR: [sys.executable, "-c", "import click"],
            "mika --help": [*mika, "--help"],
            "mika status": [*mika, "status"],
            "mika logs": [*mika, "logs"],
        }
        variants = {name: partial(seconds_of, place, argv) for name, argv in commands.items()}
        results = measure(variants, runs)
    show("commands", results, FLOOR, {"mika --help": "<= 1.5", "mika status": "<= 2"})
    alone = "python, no supervisor"
    first: dict[str, Callable[[], float]] = {alone: seconds_of_greeting}
    for tool in tools.present(COMPARED):
        first[tool.name] = partial(seconds_to_first_line, tool)
    show("first line", measure(first, runs), alone, {"mika": "<= 0.2 s"})


def seconds_of_greeting() -> float:
    """The program alone, until its line is there."""
    began = time.monotonic()
    with subprocess.Popen(SERVICES["web"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        took = time.monotonic() - began
        process.kill()
    return took


if __name__ == "__main__":
    main()
