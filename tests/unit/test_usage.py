"""What the processes of a tree use."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time

import psutil
import pytest
from mika.machine.usage import Usage

from tests.kit.machine import poll_until

BUSY_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
print("here", flush=True)
sys.stdin.read()
child.kill()
"""
SHORT_CHILDREN = """
import subprocess, sys
print("here", flush=True)
while True:
    subprocess.run([sys.executable, "-S", "-c", "for _ in range(3_000_000): pass"])
"""


def started(code: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_what_a_child_uses_counts():
    with started(BUSY_CHILD) as busy, started("print('here', flush=True); input()") as idle:
        try:
            usage = Usage()
            roots = {"busy": busy.pid, "idle": idle.pid}
            first = usage.look(roots)
            assert first["busy"].cpu is None
            time.sleep(0.5)
            found = usage.look(roots)
            assert 5 < (found["busy"].cpu or 0) < 150, "other tests have the core, too"
            assert (found["idle"].cpu or 0) < 5
            assert found["busy"].memory_mb > 1.5 * found["idle"].memory_mb, "that of its child, too"
            child = psutil.Process(busy.pid).children()[0]
        finally:
            busy.communicate(b"")
            idle.communicate(b"\n")
        assert usage.look(roots) == {}
        poll_until(lambda: not child.is_running(), 5, "the child has ended")


@pytest.mark.alone  # a child of which no look has known yet counts when it ends
def test_children_that_have_ended_count_once():
    with started(SHORT_CHILDREN) as busy:
        root = psutil.Process(busy.pid)
        try:
            usage, seconds = Usage(), 0.0
            usage.look({"busy": busy.pid})
            before, at = used(root), time.monotonic()
            for _ in range(8):
                time.sleep(0.2)
                now = time.monotonic()
                seconds += (usage.look({"busy": busy.pid})["busy"].cpu or 0.0) / 100 * (now - at)
                at = now
            assert abs(seconds - (used(root) - before)) < 0.5
        finally:
            for process in (root, *root.children(recursive=True)):
                process.kill()
            busy.communicate()


def used(root: psutil.Process) -> float:
    """CPU seconds of a process and all children that it ever had."""
    children = 0.0
    for child in root.children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it counts in those of the root by now
            children += sum(child.cpu_times()[:2])
    return children + sum(root.cpu_times()[:4])


def test_another_process_under_that_name_begins_anew():
    usage = Usage()
    for _ in range(2):
        with started("print('here', flush=True); input()") as process:
            assert usage.look({"one": process.pid})["one"].cpu is None
            process.communicate(b"\n")
