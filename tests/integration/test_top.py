"""`mika top` on a terminal, over the real stack: what changes is seen, and the terminal is left as it was."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading

from tests.kit.machine import POSIX, poll_until, posix_only
from tests.kit.programs import SLEEP

if POSIX:
    from tests.kit.tty import Tty

pytestmark = posix_only
OPENS, CLOSES = "\x1b[?1049h", "\x1b[?1049l"


def top(project):
    return Tty(project._command(("top",)), project.environ(TERM="xterm", NO_COLOR="1"))


def is_left_clean(terminal, modes):
    """The terminal has the modes that it had; all was written to the alternate screen, and nothing scrolled there."""
    before, _, rest = terminal.screen.partition(OPENS)
    within, _, after = rest.partition(CLOSES)
    return (before + after).strip() == "" and "\n" not in within and terminal.modes == modes


def test_what_happens_is_seen_and_q_leaves_no_trace(bot):
    assert bot.post().status_code == 200
    queue = bot.status()["processes"][1]["address"].removeprefix("worker:")
    with top(bot) as terminal:
        modes = terminal.modes
        terminal.shows("backend embedded, supervisor pid ")
        terminal.shows(f"{bot.pid('worker')}")
        terminal.shows("QUEUE ")
        terminal.shows(queue)
        terminal.shows("healthy")
        bot.ok("stop", "worker")
        terminal.shows("no worker polls it")
        asking = threading.Thread(target=bot.post)
        asking.start()
        terminal.shows("1 workflow task; no worker polls it")
        bot.ok("start", "worker")
        asking.join()
        terminal.shows("healthy")
        os.kill(bot.pid("worker"), signal.SIGKILL)
        terminal.shows("killed by SIGKILL")
        bot.wait_state("worker", "ready")
        terminal.type("x")
        terminal.type("q")
        assert terminal.ends() == 0
        assert is_left_clean(terminal, modes)


def test_a_server_that_hangs_holds_up_nothing(bot):
    pid = bot.pid("temporal")
    with top(bot) as terminal:
        terminal.shows("QUEUE  ")
        terminal.shows("QUEUE  ")  # by now with what is in it
        os.kill(pid, signal.SIGSTOP)
        try:
            terminal.shows("no answer; what is shown is ")
            terminal.type("\x03")
            assert terminal.ends() == 0
        finally:
            with contextlib.suppress(ProcessLookupError):  # the supervisor has replaced it
                os.kill(pid, signal.SIGCONT)


def test_it_looks_on_while_no_stack_runs(project):
    this = project(scripts={"web": SLEEP})
    this.error("top", code=3)
    this.up()
    text = this.ok("top").out
    assert re.search(rf"^web +ready +{this.pid('web')} +[0-9.]+% +[0-9]+ MB$", text, re.MULTILINE)
    found = this.ok("top", "--json").json
    assert found["uses"]["web"]["memory_mb"] > 1
    assert (found["queues"], found["workflows"]) == (None, None)
    assert this.ok("status", "--watch").out.splitlines()[2] == text.splitlines()[2]
    with top(this) as terminal:
        modes = terminal.modes
        terminal.shows("web ")
        this.ok("down")
        terminal.shows("no stack is running in ")
        this.up()
        terminal.shows(str(this.pid("web")))
        assert terminal.modes != modes
        terminal.popen.send_signal(signal.SIGTERM)
        poll_until(lambda: terminal.popen.poll() is not None, 10, "it ends")
        assert terminal.ends() == -signal.SIGTERM
        assert is_left_clean(terminal, modes)
