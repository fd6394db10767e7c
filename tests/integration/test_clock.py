"""The clock of the machine is set while a stack runs: by hand, by NTP, after a virtual machine was suspended."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from tests.kit.clock import Clock
from tests.kit.machine import DEADLINE, poll_until
from tests.kit.programs import BEATING

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the clock of tests/kit/clock.c")

FAILS_WHEN_TOLD = """
import pathlib, time
print('here', flush=True)
while not pathlib.Path('fail').exists():
    time.sleep(0.05)
raise SystemExit('the table is missing')
"""


@pytest.mark.parametrize("ahead", [-3600, 3600])
def test_whatever_the_clock_says_a_process_is_watched_and_its_last_lines_are_its_own(tmp_path, project, ahead):
    clock = Clock(tmp_path)
    toml = '[process.job]\nrestart = "never"\n\n[process.web]\nhang_timeout = 3\n'
    this = project(scripts={"web": BEATING, "job": FAILS_WHEN_TOLD}, toml=toml, env=clock.env)
    this.up()
    pid = this.wait_state("web", "ready")["pid"]
    clock.set_to(ahead)
    time.sleep(4)  # longer than a hang may last
    web = this.unit("web")
    assert (web["pid"], web["restarts"], web["state"]) == (pid, 0, "ready")
    assert 4 <= web["uptime_s"] < 60

    (this.folder / "fail").touch()
    job = this.wait_unit("job", "exited", lambda unit: unit["pid"] is None)
    poll_until(lambda: "the table is missing" in str(this.unit("job")), DEADLINE, f"the cause in {job}")

    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    this.wait_replaced("web", pid)
    assert time.monotonic() - began < 15, "a hang is noticed as fast as before"
