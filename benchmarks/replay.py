"""How long `mika check` keeps the processor busy: a worker with runs of one shape (17 events) open.

    python -m benchmarks.replay                  # 1 min

`cpu` is that of the processes which a check starts: the guard, and the program with the replay. `alone` is the same
program without anything open, so the difference is what the histories cost. Each figure is from one whole check.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common
from tests.kit.bot_processes import TemporalServer
from tests.kit.replay.edits import BY_NAME
from tests.kit.replay.live import Live

OPEN = (1, 20, 200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="checks for each row")
    runs = parser.parse_args().runs
    print(common.machine())
    rows = []
    with tempfile.TemporaryDirectory(prefix="mika-benchmark-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "server").mkdir()
        (folder / "project").mkdir()
        BY_NAME["nothing"].apply(folder / "project")
        with TemporalServer(folder / "server", in_memory=True) as server, Live(server, folder) as live:
            for number in (0, *OPEN):
                live.end_runs()
                if number:
                    live.open_runs(["Parcel"], number)
                live.check(live.spec(folder / "project"))  # compiles
                measured = [live.cpu_of_check(folder / "project") for _ in range(runs)]
                replayed = {verdict.fits for verdict, _ in measured}
                assert all(verdict.state == "fits" for verdict, _ in measured), measured
                rows.append(
                    [
                        f"{number} open" if number else "alone",
                        "/".join(map(str, sorted(replayed))),
                        *common.spread([cpu for _, cpu in measured]),
                        *common.spread([verdict.seconds for verdict, _ in measured]),
                    ]
                )
    headers = ("", "replayed", "cpu s", "min", "max", "wall s", "min", "max")
    common.table("A check of one worker", headers, rows)


if __name__ == "__main__":
    main()
