"""What the window of `mika up` costs while nothing happens: with the status line and keys, and with lines only.

    python -m benchmarks.window                  # 2 min; --rounds 3 --seconds 20

Two processes that do nothing, without Temporal, on a terminal of 100 columns that takes all that is written to it. The
variants take turns. `mika` is the supervisor, which also draws the window, and, where there are keys, the process that
waits for it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil

from benchmarks import common
from tests.kit.tty import Tty

VARIANTS = {"the status line and keys": [], "lines only (--plain)": ["--plain"]}
_SETTLE = 5.0  # s, after which what a start has to do is done


def idle(options: Sequence[str], seconds: float) -> float:
    """Per cent of one core."""
    with common.place() as place:
        (place.folder / "Procfile").write_text("one: sleep 1000\ntwo: sleep 1000\n", encoding="utf-8")
        (place.folder / "mika.toml").write_text('backend = "none"\n', encoding="utf-8")
        env = {name: value for name, value in place.env.items() if name != "NO_COLOR"} | {"TERM": "xterm-256color"}
        with Tty([*common.mika(), "-C", str(place.folder), "up", *options], env) as terminal:
            look(terminal, _SETTLE)
            ours = processes(terminal.popen.pid)
            began, used = time.monotonic(), common.cpu_seconds(ours)
            look(terminal, seconds)
            spent = common.cpu_seconds(ours) - used
            share = 100 * spent / (time.monotonic() - began)
            common.stop(terminal.popen)
            return share


def processes(pid: int) -> list[int]:
    """The one that was started and, where there are keys, the supervisor: a fork of it. Not the guards."""
    started = psutil.Process(pid)
    return [pid, *(child.pid for child in started.children() if child.cmdline() == started.cmdline())]


def look(terminal: Tty, seconds: float) -> None:
    """Take what is written for so long, as a terminal does."""
    with suppress(AssertionError):
        terminal.shows("\0", seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15.0)
    options = parser.parse_args()
    print(common.machine())
    found: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(options.rounds):
        for name, arguments in VARIANTS.items():
            found[name].append(idle(arguments, options.seconds))
    rows = [
        [name, *(f"{share:.2f}" for share in (statistics.median(shares), min(shares), max(shares)))]
        for name, shares in found.items()
    ]
    common.table(f"mika up, idle for {options.seconds:g} s", ["the window", "mika, % of a core", "least", "most"], rows)


if __name__ == "__main__":
    main()
