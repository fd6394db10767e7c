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
while not pathlib.Path('fail-{name}').exists():
    time.sleep(0.05)
raise SystemExit('the table of {name} is missing')
"""


def test_whatever_the_clock_says_a_process_is_watched_and_its_last_lines_are_its_own(tmp_path, project):
    clock = Clock(tmp_path)
    once = "".join(f'[process.{name}]\nrestart = "never"\n' for name in ("early", "late"))
    jobs = {name: FAILS_WHEN_TOLD.format(name=name) for name in ("early", "late")}
    this = project(scripts={"web": BEATING, **jobs}, toml=f"[process.web]\nhang_timeout = 3\n{once}", env=clock.env)
    this.up()
    for job, ahead in (("early", -3600), ("late", 3600)):
        before = this.wait_state("web", "ready")
        clock.set_to(ahead)
        time.sleep(4)  # longer than a hang may last
        web = this.unit("web")
        assert (web["pid"], web["restarts"], web["state"]) == (before["pid"], before["restarts"], "ready")
        assert 4 <= web["uptime_s"] < 60

        (this.folder / f"fail-{job}").touch()
        this.wait_unit(job, "exited", lambda unit: unit["pid"] is None)
        poll_until(lambda name=job: f"the table of {name} is missing" in str(this.unit(name)), DEADLINE, "the cause")

        os.kill(before["pid"], signal.SIGSTOP)
        began = time.monotonic()
        this.wait_replaced("web", before["pid"])
        assert time.monotonic() - began < 15, "a hang is noticed as fast as before"
