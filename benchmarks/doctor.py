"""How long `mika doctor` takes: in an empty folder, on a healthy stack, and while server and API hang.

`python -m benchmarks.doctor [--runs N]`; the aim is at most 2 s for the first two.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable

from benchmarks import common
from benchmarks.common import Failed, Place, mika, place


def timed(where: Place, *args: str, expected: int) -> float:
    """Seconds of one `mika doctor`. Raises Failed when it does not end as expected."""
    began = time.perf_counter()
    ended = subprocess.run(
        [*mika(), "-C", str(where.folder), "doctor", *args],
        env=where.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    took = time.perf_counter() - began
    if ended.returncode != expected:
        raise Failed(f"ended with {ended.returncode}: {ended.stdout.decode(errors='replace')}")
    return took


def status(where: Place) -> dict[str, int]:
    """The pid of each service and process."""
    answer = subprocess.run(
        [*mika(), "-C", str(where.folder), "status", "--json"],
        env=where.env,
        capture_output=True,
        check=True,
        timeout=30,
    )
    found = json.loads(answer.stdout)
    return {unit["name"]: unit["pid"] for unit in (*found["services"], *found["processes"]) if unit.get("pid")}


def row(name: str, runs: int, measure: Callable[[], float]) -> list[str]:
    measure()  # byte code and page cache
    values = [measure() for _ in range(runs)]
    common.say(f"{name}: {', '.join(f'{value:.2f}' for value in values)}")
    return [name, str(runs), *common.spread(values)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    print(common.machine())
    temporal, ui, api = common.free_ports(3)
    settings = {
        "MIKA_BACKEND": "embedded",
        "TEMPORAL_PORT": str(temporal),
        "TEMPORAL_UI_PORT": str(ui),
        "API_PORT": str(api),
        "PYTHONPATH": str(common.ROOT),
    }
    rows = []
    with place(settings) as where:
        rows.append(row("an empty folder", runs, lambda: timed(where, expected=1)))
    with place(settings) as where:
        shutil.copy(common.ROOT / "Procfile", where.folder)
        rows.append(row("a project that is not up", runs, lambda: timed(where, expected=1)))
        subprocess.run(
            [*mika(), "-C", str(where.folder), "up", "-d"],
            env=where.env,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=120,
        )
        try:
            rows.append(row("a healthy stack", runs, lambda: timed(where, expected=0)))
            pids = status(where)
            for name in ("temporal", "api"):
                os.kill(pids[name], signal.SIGSTOP)
            # Soon after, the supervisor restarts what hangs: one measurement a stop.
            try:
                rows.append(row("server and API hang", 1, lambda: timed(where, expected=1)))
            finally:
                for name in ("temporal", "api"):
                    os.kill(pids[name], signal.SIGCONT)
        finally:
            subprocess.run([*mika(), "-C", str(where.folder), "down"], env=where.env, check=False, timeout=60)
    common.table("`mika doctor`, seconds", ["", "runs", "median", "min", "max"], rows)


if __name__ == "__main__":
    main()
