"""Processes are told apart from later ones with the same pid."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest
from mika.supervisor.survivors import identify, is_same, still_alive


@pytest.mark.skipif(sys.platform == "win32", reason="the kernel writes the time down at the start")
def test_a_clock_that_is_set_does_not_make_another_process_of_it(monkeypatch):
    with subprocess.Popen([sys.executable, "-I", "-c", "input()"], stdin=subprocess.PIPE) as child:
        try:
            recorded = identify([child.pid])
            for jump in (3600, -3600):
                boot_time = psutil.boot_time() + jump
                with monkeypatch.context() as patch:
                    patch.setattr(psutil._psplatform, "boot_time", lambda moved=boot_time: moved)
                    assert still_alive(recorded) == recorded
                    assert is_same(recorded[0])
        finally:
            child.kill()
    assert still_alive(recorded) == ()
    assert not is_same(recorded[0])
