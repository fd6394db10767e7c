"""No orphan ever: a stop, a crash or a lost guard takes the whole tree of a service."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
import time
from pathlib import Path

import pytest
from mika.supervisor.guard import Guard

from tests.kit.guard import stop, until
from tests.kit.machine import DEADLINE, posix_only

pytestmark = posix_only

ENDS_CLEANLY = "import time\ntry:\n    print('up')\n    time.sleep(777)\nfinally: print('end')"
STUBBORN = (
    "import signal, time\n"
    "for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)\n"
    "print('up', flush=True)\nwhile True: time.sleep(60)"
)


def test_what_a_dead_service_leaves_is_killed_at_once(run):
    """The leader ends; what it started, also what hides in another session, must not stay."""

    async def main():
        hidden = "setsid sh -c '(setsid sleep 777 &) & sleep 777' &"
        guard = await Guard.start(run.spec(f"sleep 777 & {hidden} sleep 0.3; exit 3", grace=60))
        await until(lambda: len(run.alive(guards=False)) >= 5, "the tree")
        assert (await asyncio.wait_for(guard.wait(), DEADLINE)).code == 3  # long before the grace
        assert run.alive() == []

    asyncio.run(main())


def test_a_child_that_has_exited_was_not_left_behind(run):
    async def main():
        guard = await Guard.start(run.python("import os, time\nif os.fork() == 0: os._exit(0)\ntime.sleep(0.3)"))
        assert (await asyncio.wait_for(guard.wait(), DEADLINE)).reason.text == "exit code 0"

    asyncio.run(main())


def test_a_stop_signal_of_windows_is_sigint(run):
    async def main():
        guard = await Guard.start(run.python("print('up'); import time; time.sleep(777)", stop_signal="SIGBREAK"))
        await until(lambda: b"up\n" in run.log(), "the service")
        await stop(guard)
        assert b"KeyboardInterrupt" in run.log()

    asyncio.run(main())


def test_stop_waits_for_all_and_not_only_for_the_leader(run):
    """Dash ends at SIGTERM at once; its child still has the whole grace to clean up."""
    child = (
        "import signal, sys, time\n"
        "def end(*_):\n    time.sleep(0.5)\n    print('clean', flush=True)\n    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\nprint('up', flush=True)\nwhile True: time.sleep(60)"
    )

    async def main():
        command = f"{shlex.quote(sys.executable)} -c {shlex.quote(child)}; true"
        guard = await Guard.start(run.spec(command, stop_signal="SIGTERM", grace=10))
        await until(lambda: b"up\n" in run.log(), "the child")
        await stop(guard)
        assert run.log() == b"up\nclean\n"
        assert run.alive() == []

    asyncio.run(main())


def test_who_ignores_sigint_gets_sigterm_before_the_end(run):
    async def main():
        code = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('up'); time.sleep(777)"
        guard = await Guard.start(run.python(code, grace=0.4))
        await until(lambda: b"up\n" in run.log(), "the service")
        assert (await stop(guard)).reason.text == "killed by SIGTERM"

    asyncio.run(main())


def test_who_ignores_all_is_killed_at_the_end_of_the_grace(run):
    async def main():
        guard = await Guard.start(run.python(STUBBORN, grace=0.5))
        await until(lambda: b"up\n" in run.log(), "the service")
        begin = time.monotonic()
        assert (await stop(guard)).reason.text == "killed by SIGKILL"
        assert time.monotonic() - begin >= 0.5

    asyncio.run(main())


def test_a_kill_cuts_a_stop_short(run):
    async def main():
        guard = await Guard.start(run.python(STUBBORN, grace=600))
        await until(lambda: b"up\n" in run.log(), "the service")
        guard.request_stop()
        guard.kill()
        assert (await asyncio.wait_for(guard.wait(), DEADLINE)).reason.text == "killed by SIGKILL"
        guard.kill()  # too late, and harmless
        guard.request_stop()

    asyncio.run(main())


def test_a_suspended_service_can_be_stopped(run):
    async def main():
        guard = await Guard.start(run.python(ENDS_CLEANLY, grace=600))
        await until(lambda: b"up\n" in run.log(), "the service")
        os.kill(guard.pid, signal.SIGSTOP)
        await stop(guard)
        assert b"end" in run.log()

    asyncio.run(main())


def test_service_does_not_inherit_ignored_or_blocked_signals(run):
    """As from `mika up &` in a script, where the shell lets SIGINT be ignored."""
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})
    try:

        async def main():
            guard = await Guard.start(run.python("import time\nprint('up')\ntime.sleep(777)", grace=600))
            await until(lambda: b"up\n" in run.log(), "the service")
            status = Path(f"/proc/{guard.pid}/status").read_text(encoding="utf-8")
            assert "SigBlk:\t0000000000000000" in status
            assert int(status.split("SigIgn:")[1].split()[0], 16) & 0b11 == 0  # HUP, INT
            await stop(guard)
            assert b"KeyboardInterrupt" in run.log()

        asyncio.run(main())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, old)


def test_ctrl_c_and_hangup_do_not_reach_the_guard_but_sigterm_stops_it(run):
    async def main():
        guard = await Guard.start(run.python(ENDS_CLEANLY))
        await until(lambda: b"up\n" in run.log(), "the service")
        os.kill(guard.guard_pid, signal.SIGINT)
        os.kill(guard.guard_pid, signal.SIGHUP)
        os.kill(guard.guard_pid, signal.SIGTERM)
        result = await asyncio.wait_for(guard.wait(), DEADLINE)
        assert not result.guard_lost
        assert b"end" in run.log()

    asyncio.run(main())


def test_kill_of_the_guard_takes_the_whole_tree(run):
    """PDEATHSIG takes the leader, the marks take the rest."""

    async def main():
        guard = await Guard.start(run.spec("sleep 777 & setsid sh -c '(setsid sleep 777 &) & sleep 777' & sleep 777"))
        await until(lambda: len(run.alive(guards=False)) >= 5, "the tree")
        os.kill(guard.guard_pid, signal.SIGKILL)
        result = await asyncio.wait_for(guard.wait(), DEADLINE)
        assert result.guard_lost
        assert result.code == -9
        assert result.survivors == ()
        assert run.alive() == []

    asyncio.run(main())


def test_a_suspended_guard_does_not_hang_the_stop(run, monkeypatch):
    """It is killed itself, and its tree swept, some seconds after the grace period."""
    monkeypatch.setattr("mika.supervisor.guard._REPORT_SECONDS", 0.3)

    async def main():
        guard = await Guard.start(run.spec("sleep 777 & sleep 777", grace=0.1))
        await until(lambda: len(run.alive(guards=False)) >= 3, "the tree")
        os.kill(guard.guard_pid, signal.SIGSTOP)
        assert (await stop(guard)).guard_lost
        assert run.alive() == []

    asyncio.run(main())


@pytest.mark.parametrize("order", ["kill", "stop, then kill"])
def test_a_kill_in_a_hurry_waits_for_no_suspended_guard(run, order):
    """The second Ctrl-C: at once, whatever the grace period is."""

    async def main():
        guard = await Guard.start(run.spec("sleep 777 & sleep 777", grace=600))
        await until(lambda: len(run.alive(guards=False)) >= 3, "the tree")
        os.kill(guard.guard_pid, signal.SIGSTOP)
        if order != "kill":
            guard.request_stop()
        guard.kill(0.1)
        assert (await asyncio.wait_for(guard.wait(), DEADLINE)).guard_lost
        assert run.alive() == []

    asyncio.run(main())
