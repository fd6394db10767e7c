"""Many open runs that took the same steps cost a check little: some are replayed. Figures: benchmarks/replay.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.machine import posix_only, takes_long
from tests.kit.replay.edits import BY_NAME
from tests.kit.replay.live import TYPES, live_worker

RUNS = 100


@takes_long
@pytest.mark.alone
@posix_only
def test_many_runs_of_one_shape_cost_little(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory):
    BY_NAME["nothing"].apply(tmp_path)
    with live_worker(tmp_path_factory, TYPES) as live:
        live.end_runs()
        live.check(live.spec(tmp_path))  # compiles
        _, without = live.cpu_of_check(tmp_path)
        live.open_runs(["Deferred"], RUNS)  # of one task, so these are soon opened
        verdict, cpu = live.cpu_of_check(tmp_path)
    assert verdict.state == "fits"
    assert verdict.fits + verdict.late == RUNS
    assert 1 <= verdict.fits <= 10
    assert cpu < 2.5 * without, "a replay of each would be nearly four times as much"
