"""What mika knows about processes and threads of this machine."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time

import pytest
from mika.machine.local import CpuUse, in_thread, process_state


def test_states_of_processes() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert process_state(child.pid) == ""
    finally:
        child.kill()
        child.wait()
    assert process_state(child.pid) == "gone"


def test_threads_hand_over_errors_and_hold_up_nobody() -> None:
    def fail() -> None:
        raise ValueError("as it is")

    with pytest.raises(ValueError, match="as it is"):
        asyncio.run(in_thread(fail))


def test_a_process_that_works_uses_cpu_and_one_that_sleeps_does_not() -> None:
    use = CpuUse(lambda: [os.getpid()])
    assert use.share() == 0, "nothing to compare with"
    until = time.thread_time() + 0.3
    while time.thread_time() < until:
        pass
    assert use.share() > 0.05, "also where others use the CPU, too"
    time.sleep(0.3)
    assert use.share() < 0.05
