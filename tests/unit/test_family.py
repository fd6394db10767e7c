"""The children of a process, as the system lists them, are those that psutil finds."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest
from mika.machine import family

from tests.kit.machine import poll_until

# Two children, one of them started by another thread, and a grandchild.
TREE = """
import subprocess, sys, threading
child = [sys.executable, "-c", "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"]
threading.Thread(target=subprocess.run, args=(child,)).start()
subprocess.run([sys.executable, "-c", "input()"])
"""


@pytest.mark.parametrize("has_list", [True, False])
def test_children_and_grandchildren(monkeypatch, has_list):
    if not has_list:  # a kernel without it

        def missing(pid: int) -> list[int]:
            raise FileNotFoundError(pid)

        monkeypatch.setattr(family, "_of_linux", missing)
    with subprocess.Popen([sys.executable, "-c", TREE], stdin=subprocess.PIPE) as root:
        parent = psutil.Process(root.pid)
        poll_until(lambda: len(parent.children(recursive=True)) == 3, 20, "the whole tree")
        assert sorted(family.children_of(root.pid)) == sorted(child.pid for child in parent.children())
        pids = family.family_of(root.pid)
        assert pids[0] == root.pid
        assert sorted(pids[1:]) == sorted(child.pid for child in parent.children(recursive=True))
        root.communicate(b"\n" * 3)
    assert family.children_of(root.pid) == []
    assert family.family_of(root.pid) == [root.pid]
