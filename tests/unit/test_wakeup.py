"""A thread is woken also by a signal that comes while its main thread wakes it."""

from __future__ import annotations

import subprocess
import sys
import threading

from mika.cli.screen.wakeup import Wakeup

from tests.kit.machine import posix_only

INTERRUPTED = """
import signal, sys, threading, time
from mika.cli.screen.wakeup import Wakeup
wakeup = eval(sys.argv[1])()
signal.signal(signal.SIGALRM, lambda *_: wakeup.set())
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
ends = time.monotonic() + 1
while time.monotonic() < ends:
    for _ in range(100):
        wakeup.set()
    wakeup.clear()
signal.setitimer(signal.ITIMER_REAL, 0)
wakeup.set()
assert wakeup.wait(0)
"""


def test_a_set_wakes_and_stays_until_it_is_cleared():
    wakeup = Wakeup()
    assert not wakeup.wait(0.01)
    threading.Timer(0.05, wakeup.set).start()
    assert wakeup.wait(20)
    wakeup.set()
    assert wakeup.wait(0)
    wakeup.clear()
    assert not wakeup.wait(0)


@posix_only
def test_a_signal_handler_may_interrupt_a_set():
    """With a `threading.Event` this waits for ever, nearly each time."""
    subprocess.run([sys.executable, "-c", INTERRUPTED, "Wakeup"], timeout=30, check=True)
