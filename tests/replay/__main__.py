"""`uv run python -m tests.replay`: each edit against open runs of each type; exits with 1 if the check was wrong once.

What the check says is compared with what a real worker with the edited code does. 20 minutes on two cores.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.kit import reaper
from tests.kit.bot_processes import TemporalServer
from tests.kit.replay.edits import EDITS, Edit
from tests.kit.replay.judging import faults_of_program, faults_of_runs
from tests.kit.replay.world import World, all_types

_AT_ONCE = 6  # edits whose runs are open at the same time


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.replay", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help="only the edits whose names have one of these words")
    words = parser.parse_args().words
    edits = [edit for edit in EDITS if not words or any(word in edit.name for word in words)]
    counts: Counter[str] = Counter()
    for first in range(0, len(edits), _AT_ONCE):
        _judge(edits[first : first + _AT_ONCE], counts)
    print(
        f"\n{len(edits)} edits, {counts['pairs']} pairs of an edit and an open run: {counts['broken']} broken, "
        f"{counts['named']} of them named, {counts['false']} false alarms, {counts['faults']} faults in all"
    )
    return 1 if counts["faults"] else 0


def _judge(edits: Sequence[Edit], counts: Counter[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="mika-replay-", ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        with TemporalServer(place, in_memory=True) as server, World(server, place, edits, all_types) as world:
            for edit in edits:
                if edit.ends:
                    found = faults_of_program(world.ends(edit), edit)
                    answer = f"does not start: {edit.ends}"
                else:
                    answers = world.answers(edit)
                    found = faults_of_runs(answers, edit)
                    counts["pairs"] += len(answers.truth)
                    counts["broken"] += len(answers.failed)
                    counts["named"] += len(answers.checked & answers.failed)
                    counts["false"] += len(answers.checked - answers.failed)
                    answer = f"breaks {', '.join(sorted(answers.failed)) or 'nothing'}"
                counts["faults"] += len(found)
                print(f"{'wrong' if found else 'right'}  {edit.name}: {answer}", *found, sep="\n       ", flush=True)


if __name__ == "__main__":
    reaper.end_with_us()
    sys.exit(main())
