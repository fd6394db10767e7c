"""A check that is killed, at whatever moment, leaves nothing behind."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.kit.machine import poll_until, posix_only, takes_long
from tests.kit.project import Project
from tests.kit.replay.edits import BED
from tests.kit.replay.live import QUEUE, TYPES, live_worker
from tests.kit.runs import Result, Running

pytestmark = [takes_long, posix_only, pytest.mark.timeout(240)]
KILLS = 5
MARKS = {".mika/run/marks.json"}
"""By these, the next command would find what outlives a killed one."""
# A fork, which the guard must find, and a socket file, which is not in .mika/run.
RUN = """
import asyncio, multiprocessing
from bed import main

async def all_of_it():
    await asyncio.start_unix_server(lambda *_: None, "worker.sock")
    await main.main()

def work():
    asyncio.run(all_of_it())

if __name__ == "__main__":
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
"""


@pytest.fixture
def parcels(project: Callable[..., Project], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project with open runs, and with a worker that is live, but not of its stack."""
    with live_worker(tmp_path_factory, TYPES) as live:
        this = project(
            scripts={"worker": RUN}, toml=f'[process.worker]\nready = "worker:{QUEUE}"\n', env=live.env.copy()
        )
        shutil.copytree(BED, this.folder / "bed", ignore=shutil.ignore_patterns("__pycache__"))
        before = live.seen()
        yield this
        assert live.seen() == before


def test_a_check_that_is_killed_alone_or_with_its_guard_leaves_nothing_to_the_next_one(parcels: Project):
    whole = whole_check(parcels)
    before = files(parcels)
    moments = random.Random(time.time_ns())
    leftovers: list[set[str]] = []
    for number in range(KILLS):
        share = moments.uniform(number, number + 1) / KILLS
        check = parcels.start_mika("check")
        time.sleep(share * whole.seconds)  # that is the point
        check.kill()
        parcels.assert_gone(10)
        leftovers.append(files(parcels) - before - MARKS)
    # Once the guard has reported its end, the folder is the check's to remove: a kill in these milliseconds leaves it.
    assert sum(map(bool, leftovers)) <= 1, leftovers
    check = parcels.start_mika("check")
    poll_until(lambda: parcels.alive("worker.py"), 30, "the program that is checked runs")
    kill_with_guard(check)
    assert files(parcels) > before, "nobody was left to clean up"
    assert "fits" in parcels.ok("check").out
    parcels.assert_gone(10)
    assert files(parcels) - MARKS == before, "killed with its guard"


def whole_check(parcels: Project) -> Result:
    """The second one: the first one makes mika's folder."""
    parcels.ok("check")
    return parcels.ok("check", process=True)


def kill_with_guard(check: Running) -> None:
    guards = [
        each for each in psutil.Process(check.pid).children() if any("mika.guard" in word for word in each.cmdline())
    ]
    assert guards
    for guard in guards:
        guard.suspend()  # it sees neither the end of the check nor of its program
    check.kill()
    for guard in guards:
        guard.kill()


def files(project: Project) -> set[str]:
    """All that are in the project, without byte code."""
    every = project.folder.rglob("*")
    return {str(path.relative_to(project.folder)) for path in every if "__pycache__" not in path.parts}


def test_other_commands_leave_a_check_that_runs_alone(project: Callable[..., Project]):
    this = project(scripts={"worker": "import time, temporalio.client\ntime.sleep(600)\n"})
    check = this.start_mika("check", "worker", "--timeout", "20")
    poll_until(lambda: this.alive("worker.py"), 30, "the program that is checked runs")
    status = this.error("status", code=3)
    assert status.seconds < 8, "it waited for the check"
    assert "killed run" not in status.err
    assert this.alive("worker.py")
    check.kill()
    this.assert_gone(10)
