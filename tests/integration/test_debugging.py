"""A worker under a debugger: an editor, or `breakpoint()` in a terminal of its own."""

from __future__ import annotations

import asyncio
import os
import re
import stat
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from mika.control.address import terminal_address
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from tests.kit.bot import Bot
from tests.kit.dap import Editor
from tests.kit.machine import DEADLINE, POSIX, poll_until, posix_only, takes_long
from tests.kit.project import Project
from tests.kit.tty import Tty

T = TypeVar("T")
HOLD = float(os.environ.get("DEBUG_HOLD", "0"))
"""Seconds in the debugger, if more than what proves it."""
PROVES = {"workflow": 12.0, "activity": 4.0}
"""A workflow task may take 10 s by default, and a worker may be without a beat for 2 s here."""

# A worker as anybody writes it, with the sandbox, and with a beat, which stops at a breakpoint.
WORKER = """
import asyncio, os, pathlib, socket
from datetime import timedelta
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

@activity.defn
async def work(amount: int) -> int:
    doubled = amount * 2  # in the activity
    return doubled

@workflow.defn
class Job:
    @workflow.run
    async def run(self, amount: int) -> int:
        total = amount + 1  # in the workflow
        return await workflow.execute_activity(work, total, start_to_close_timeout=timedelta(seconds=300))

async def beat():
    while file := os.environ.get("MIKA_BEAT_FILE"):
        pathlib.Path(file).touch()
        await asyncio.sleep(0.5)

async def main():
    beating = asyncio.create_task(beat())
    client = await Client.connect(f"127.0.0.1:{os.environ['TEMPORAL_PORT']}")
    await Worker(client, task_queue="jobs", workflows=[Job], activities=[work], build_id="kit").run()

if __name__ == "__main__":
    asyncio.run(main())
"""
RULE = '[process.jobs]\nready = "worker:jobs"\n'


def stack(folder: Path, worker: str = WORKER, toml: str = RULE) -> Bot:
    made = Bot(folder, procfile="jobs: python w.py\n", toml=toml)
    made.write("w.py", worker)
    return made


def ask(this: Bot, work: Callable[[Client], Awaitable[T]]) -> T:
    async def main() -> T:
        return await work(await Client.connect(f"127.0.0.1:{this.ports['TEMPORAL_PORT']}"))

    return asyncio.run(main())


def start(this: Bot) -> None:
    ask(this, lambda client: client.start_workflow("Job", 20, id="debugged", task_queue="jobs"))


def finish(this: Bot) -> int:
    """The workflow's result. Nothing may have timed out or failed on the way."""

    async def look(client: Client) -> tuple[int, list[str]]:
        handle = client.get_workflow_handle("debugged")
        async with asyncio.timeout(DEADLINE):
            result = await handle.result()
        return result, [EventType.Name(event.event_type) for event in (await handle.fetch_history()).events]

    result, events = ask(this, look)
    assert [name for name in events if "TIMED_OUT" in name or "FAILED" in name] == []
    return result


def line_in(place: str, worker: str = WORKER) -> int:
    """The number of the marked line there."""
    return next(number for number, line in enumerate(worker.splitlines(), 1) if line.endswith(f"# in the {place}"))


def story_of(this: Bot, cause: str) -> dict[str, Any] | None:
    story = this.mika("doctor", "--workflow", "debugged", "--json").json
    return story if story.get("cause") == cause else None


def listening_at(this: Bot, port: int) -> set[str]:
    """The addresses at which processes of this stack listen at that port."""
    sockets = [socket for process in this.alive() for socket in process.net_connections("tcp")]
    return {socket.laddr.ip for socket in sockets if socket.status == "LISTEN" and socket.laddr.port == port}


def port_of(text: str) -> int:
    found = re.search(r"a debugger can attach at 127\.0\.0\.1:(\d+)", text)
    assert found, text
    return int(found[1])


@takes_long
@pytest.mark.timeout(240)
def test_who_debugs_stops_a_workflow_and_an_activity_for_as_long_as_he_wants(tmp_path):
    with stack(tmp_path, toml=RULE + "hang_timeout = 2\n") as this:
        up = this.up("--debug", "jobs", "--watch")
        port = port_of(up.text)
        assert f'"request": "attach", "connect": {{"host": "127.0.0.1", "port": {port}}}' in up.text
        before = this.unit("jobs")
        assert listening_at(this, port) == {"127.0.0.1"}
        with Editor(port) as editor:
            editor.attach(this.folder / "w.py", line_in("workflow"), line_in("activity"))
            start(this)
            for place, amount in (("workflow", "20"), ("activity", "21")):
                _, line, variables = editor.stopped()
                assert (line, variables["amount"]) == (line_in(place), amount)
                time.sleep(max(HOLD, PROVES[place]))
                assert this.unit("jobs")["state"] == "ready"
                editor.go_on()
            assert finish(this) == 42
        after = this.unit("jobs")
        assert (after["pid"], after["restarts"]) == (before["pid"], 0)
        os.kill(after["pid"], 9)
        this.wait_replaced("jobs", after["pid"])
        with Editor(port) as editor:  # again, and with the same settings
            editor.attach(this.folder / "w.py", line_in("workflow"))
        if POSIX:
            without_debugpy_breakpoint_stops_in_a_terminal(this)
            with_debugpy_it_stops_in_the_editor_while_one_is_attached(this)
            what_is_not_debugged_has_no_terminal(this)


def broken_into(place: str) -> str:
    """The worker with a `breakpoint()` at that place."""
    marker = f"  # in the {place}"
    line = next(line for line in WORKER.splitlines() if line.endswith(marker))
    return WORKER.replace(
        line, f"{line}\n        breakpoint()" if line.startswith("     ") else f"{line}\n    breakpoint()"
    )


def attached(this: Project, name: str = "jobs") -> Tty:
    return Tty(this._command(("attach", name)), this.environ())


def save(this: Bot, name: str, text: str) -> None:
    """Return when `--watch` has seen it: what is started before would be restarted for it."""
    before = len(this.events("notice", "jobs"))
    this.write(name, text)
    poll_until(
        lambda: any(
            notice["message"] == f"{name} changed" or "more changed" in notice["message"]
            for notice in this.events("notice", "jobs")[before:]
        ),
        DEADLINE,
        f"{name} is seen to have changed",
    )


def without_debugpy_breakpoint_stops_in_a_terminal(this: Bot) -> None:
    this.ok("stop", "jobs")
    save(this, "debugpy.py", "raise ImportError('not here')\n")
    save(this, "w.py", broken_into("workflow"))
    told = this.ok("restart", "jobs", "--debug").text
    assert "debugpy is not installed in" in told
    assert "run `uv add --dev debugpy`" not in told
    assert re.search(
        "run `(uv pip install --python|.* -m pip install) .*debugpy`, then `mika restart jobs --debug`", told
    )
    assert "`breakpoint()` in the code stops in `mika attach jobs`" in told
    a_workflow_stops_until_somebody_types(this)


def a_workflow_stops_until_somebody_types(this: Bot) -> None:
    before = this.unit("jobs")
    start(this)
    poll_until(lambda: "(Pdb)" in this.log("jobs"), DEADLINE, "the prompt")
    with attached(this) as tty:
        tty.shows("(Pdb)")
        tty.type("p amount\r")
        tty.shows("p amount\r\n20")
        tty.type("p __import__('os').get_terminal_size(0)\r")
        tty.shows("columns=100, lines=30")
        tty.type("\x1d")
        tty.shows("left: jobs goes on")
        assert tty.ends() == 0
    with attached(this) as tty:
        tty.shows("(Pdb)")
        tty.hang_up()
        tty.ends()
    assert this.unit("jobs")["state"] == "ready"
    story = poll_until(lambda: story_of(this, "worker_unresponsive"), DEADLINE, "the doctor's story", step=1)
    assert story["finding"].startswith("jobs is being debugged: ")
    assert "`mika attach jobs`" in story["fix"]
    with attached(this) as tty:
        tty.shows("(Pdb)")
        tty.type("c\r")
        assert finish(this) == 42
    after = this.unit("jobs")
    assert (after["pid"], after["restarts"]) == (before["pid"], before["restarts"])


def with_debugpy_it_stops_in_the_editor_while_one_is_attached(this: Bot) -> None:
    worker = broken_into("activity")
    this.ok("stop", "jobs")
    (this.folder / "debugpy.py").unlink()
    save(this, "w.py", worker)
    restarted = this.ok("restart", "jobs", "--debug")
    assert "normal timeout" not in restarted.out, "it is longer since the start"
    with attached(this) as tty:
        start(this)
        tty.shows("(Pdb)")
        assert "DEBUGGER WARNING" not in tty.screen
        tty.type("p amount\r")
        tty.shows("21")
        tty.type("c\r")
        assert finish(this) == 42
        with Editor(port_of(restarted.out)) as editor:
            editor.attach(this.folder / "w.py", line_in("workflow", worker))
            start(this)
            for line in (line_in("workflow", worker), line_in("activity", worker) + 2):
                assert editor.stopped()[1] == line
                editor.go_on()
            assert finish(this) == 42
        this.ok("restart", "jobs")
        tty.shows("jobs has ended")


def what_is_not_debugged_has_no_terminal(this: Bot) -> None:
    assert "TEMPORAL_DEBUG" not in psutil.Process(this.pid("jobs")).environ()
    assert "no process is named 'job'" in this.error("attach", "job", code=2).err
    assert "needs a terminal" in this.error("attach", "jobs", code=2).err
    with attached(this) as tty:
        tty.shows("jobs has no terminal: it was not started for debugging")
        assert "attached to" not in tty.screen
        tty.shows(" restart jobs --debug`")
        assert tty.ends() == 1


@posix_only
def test_a_stack_that_was_not_started_for_debugging_says_what_that_means(tmp_path):
    with Bot(tmp_path, procfile='jobs: python -IS -c "import time; time.sleep(600)"\n') as this:
        for name in ("job", "temporal"):
            assert f"no process is named '{name}'" in this.error("up", "-d", "--debug", name, code=2).err
        this.up()
        again = this.ok("up", "-d", "--debug", "jobs")
        assert "--debug has no effect on a running stack (`mika restart jobs --debug`)" in again.text
        assert "temporal is a service" in this.error("restart", "temporal", "--debug", code=2).err
        restarted = this.ok("restart", "jobs", "--debug")
        assert "normal timeout (10 s by default)" in restarted.out
        assert "`mika up --debug jobs`" in restarted.out


@posix_only
def test_the_newest_terminal_has_the_process_and_one_that_shows_nothing_any_more_holds_nothing_up(
    project, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    asks = "while True:\n    print('you said', input('? '))\n"
    talks = "import sys\ninput()\nfor n in range(40000):\n    print('x' * 100)\nprint('done')\ninput()\n"
    with project(scripts={"ask": asks, "talks": talks}) as this:
        this.up("--debug", "ask", "--debug", "talks")
        the_newest_terminal_has_the_process_and_nobody_else_reaches_it(this)
        a_terminal_that_shows_nothing_any_more_holds_nothing_up(this)


def the_newest_terminal_has_the_process_and_nobody_else_reaches_it(this: Project) -> None:
    socket_file = Path(terminal_address(this.folder, "ask"))
    assert stat.S_IMODE(socket_file.stat().st_mode) == 0o600
    with attached(this, "ask") as first:
        first.shows("? ")
        with attached(this, "ask") as second:
            first.shows("left: another terminal has attached to ask")
            second.type("hello\r")
            second.shows("you said hello")
            second.type("\x03")
            second.shows("ask has ended")
    this.ok("stop", "ask")
    assert not socket_file.exists()
    with attached(this, "ask") as tty:
        tty.shows("ask is not running (stopped)")


def a_terminal_that_shows_nothing_any_more_holds_nothing_up(this: Project) -> None:
    with attached(this, "talks") as tty:
        tty.shows("attached")
        tty.type("\r")
        poll_until(lambda: "done" in this.log("talks"), DEADLINE, "all of its output", step=0.2)  # nobody reads the pty
    assert this.log("talks").count("x" * 100) == 40000
