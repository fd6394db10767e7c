"""`uv run python -m tests.chaos --kills 200 --seed 1`: exits with 1 when a message was lost or doubled."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.chaos.chaos import run
from tests.chaos.options import FAULTS, Options
from tests.kit import reaper


def _faults(text: str) -> tuple[str, ...]:
    """Raises ValueError, which argparse reports, for an unknown one."""
    names = tuple(text.split(","))
    if not set(names) <= set(FAULTS):
        raise ValueError
    return names


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None, help="chooses targets and moments; random when not given")
    parser.add_argument("--senders", type=int, default=4, help="messages that are under way at once")
    parser.add_argument("--task-timeout", type=float, default=None, metavar="S", help="WORKFLOW_TASK_TIMEOUT")
    parser.add_argument("--faults", type=_faults, default=("kill",), metavar="A,B", help=f"of {', '.join(FAULTS)}")
    given = parser.parse_args()
    seed = random.randrange(1_000_000) if given.seed is None else given.seed
    options = Options(given.kills, seed, given.senders, given.task_timeout, given.faults)
    with tempfile.TemporaryDirectory(prefix="mika-chaos-") as folder:
        report = run(Path(folder), options, say=lambda text: print(text, flush=True))
    print(report)
    return 0 if report.good else 1


if __name__ == "__main__":
    reaper.end_with_us()
    sys.exit(main())
