"""`mika up --watch` and open runs: new workflow code is checked, then it replaces the old, or does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from mika.config.load import load
from mika.project.folder import ProjectDir
from mika.stack.processes import ProcessFactory
from temporalio.client import Client, WorkflowHandle

from tests.kit.bot import Bot
from tests.kit.machine import poll_until

WORKFLOW = """
from datetime import timedelta
from temporalio import workflow

@workflow.defn
class Order:
    def __init__(self) -> None:
        self.shipped = False

    @workflow.run
    async def run(self) -> str:
        first = await workflow.execute_activity("charge", start_to_close_timeout=timedelta(seconds=10))
        await workflow.wait_condition(lambda: self.shipped)
        second = await workflow.execute_activity("notify", start_to_close_timeout=timedelta(seconds=10))
        return f"{first}, {second}"

    @workflow.signal
    def ship(self) -> None:
        self.shipped = True

    @workflow.query
    def version(self) -> int:
        return 1
"""
SWAPPED = (
    WORKFLOW.replace("charge", "x")
    .replace("notify", "charge")
    .replace('"x"', '"notify"')
    .replace("return 1", "return 2")
)
PATCHED = WORKFLOW.replace(
    "first = await",
    """if workflow.patched("greet"):
            await workflow.execute_activity("notify", start_to_close_timeout=timedelta(seconds=10))
        first = await""",
).replace("return 1", "return 3")
WORKER = """
import asyncio, atexit, os, time
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker
from orders import Order

@activity.defn
async def charge() -> str:
    return "charged"

@activity.defn
async def notify() -> str:
    return "notified"

async def main():
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"])
    cache = int(os.environ.get("CACHED", "100"))
    await Worker(
        client, task_queue="orders", workflows=[Order], activities=[charge, notify], max_cached_workflows=cache,
        build_id="kit",  # else a worker reads every module
    ).run()

atexit.register(lambda: time.sleep(3 * os.path.exists("ends-slowly")))
asyncio.run(main())
"""


def shop(folder: Path, toml: str = "", **env: str) -> Bot:
    made = Bot(folder, procfile="orders: python worker.py\n")
    made.write("worker.py", WORKER)
    made.write("orders.py", WORKFLOW)
    made.write("mika.toml", f'[process.orders]\nready = "worker:orders"\n{toml}')
    made.env |= env
    return made


def on_server(this: Bot, work: Callable[[Client], Awaitable[Any]]) -> Any:
    async def connected() -> Any:
        return await work(await Client.connect(f"127.0.0.1:{this.ports['TEMPORAL_PORT']}"))

    return asyncio.run(connected())


def begin(this: Bot, number: int = 1) -> None:
    """Begin an order, and wait until it is half done."""

    async def work(client: Client) -> None:
        order: WorkflowHandle[Any, Any] = await client.start_workflow("Order", id=f"o{number}", task_queue="orders")
        while len((await order.fetch_history()).events) < 10:
            await asyncio.sleep(0.05)

    on_server(this, work)


def version(this: Bot, number: int = 1) -> int:
    return on_server(this, lambda client: client.get_workflow_handle(f"o{number}").query("version"))


def finish(this: Bot, number: int = 1) -> str:
    async def work(client: Client) -> str:
        order = client.get_workflow_handle(f"o{number}")
        await order.signal("ship")
        return str(await asyncio.wait_for(order.result(), 15))

    return str(on_server(this, work))


def warnings(this: Bot) -> list[str]:
    return [event["message"] for event in this.events("notice", "orders") if event["level"] == "warning"]


def refused(this: Bot, text: str) -> str:
    return next(iter(poll_until(lambda: [one for one in warnings(this) if text in one], 30, f"a warning {text!r}")))


@pytest.mark.timeout(240)
def test_code_is_replaced_by_what_fits_and_only_by_that(tmp_path):
    with shop(tmp_path, CACHED="0") as this:  # so that each answer of a workflow is replayed, with the code there is
        this.up("--watch")
        begin(this)
        ten_saves_are_one_restart_with_the_last_code(this)
        what_does_not_fit_does_not_replace_what_runs(this)
        what_does_not_start_does_not_either(this)
        pid = this.pid("orders")
        this.write("orders.py", PATCHED)
        this.wait_replaced("orders", pid)
        assert this.unit("orders")["held_back"] is None
        assert version(this) == 3
        what_is_saved_during_a_restart_is_checked_too_late_to_be_held_back(this)
        this.write("orders.py", PATCHED)
        assert finish(this) == "charged, notified"


def ten_saves_are_one_restart_with_the_last_code(this: Bot) -> None:
    longest = save_ten_times(this)
    poll_until(lambda: len(this.events("started", "orders")) == 2, 30, "the restart")
    this.wait_state("orders", "ready")
    assert version(this) == 91
    assert not warnings(this) or longest > 0.4, "half a second without a save is the end of them"
    assert len(this.events("started", "orders")) == 2


def what_does_not_fit_does_not_replace_what_runs(this: Bot) -> None:
    pid = this.pid("orders")
    this.write("orders.py", SWAPPED)
    line = refused(this, "does not fit")
    assert "1 open run of Order (o1): at event 5" in line
    assert "the old code goes on" in line
    assert "workflow.patched" in line
    unit = this.unit("orders")
    assert (unit["pid"], unit["state"]) == (pid, "ready")
    assert "does not fit 1 open run" in unit["held_back"]["text"]
    assert "the old code goes on" in this.ok("status").out
    assert "the old code goes on" in this.ok("doctor").out
    begin(this, 2)  # a run that begins now gets the old code, too, and not what is on the disk
    assert [version(this, 1), version(this, 2)] == [91, 91]
    assert finish(this, 2) == "charged, notified"


def what_does_not_start_does_not_either(this: Bot) -> None:
    pid = this.pid("orders")
    this.write("orders.py", WORKFLOW + "def broken(:\n")
    assert "orders.py:" in refused(this, "does not start: SyntaxError")
    this.write("orders.py", "import nothing_of_that_name\n" + WORKFLOW)
    assert "orders.py:1" in refused(this, "does not start: ModuleNotFoundError")
    assert (this.pid("orders"), version(this)) == (pid, 91)


def what_is_saved_during_a_restart_is_checked_too_late_to_be_held_back(this: Bot) -> None:
    pid, stops = this.pid("orders"), len(this.events("stopping", "orders"))
    this.write("ends-slowly", "")
    this.write("orders.py", PATCHED.replace("return 3", "return 4"))
    poll_until(lambda: len(this.events("stopping", "orders")) > stops, 30, "the restart")
    this.write("orders.py", SWAPPED)
    assert "does not fit" in refused(this, "it is started all the same")
    this.wait_replaced("orders", pid)
    assert this.unit("orders")["held_back"] is None
    (this.folder / "ends-slowly").unlink()


def save_ten_times(this: Bot) -> float:
    """Within two seconds. The last code fits, and is version 91. Returns the longest time between two, in seconds."""
    times = []
    for number in range(10):
        times.append(time.monotonic())
        code = WORKFLOW if number == 9 else SWAPPED
        this.write(
            "orders.py",
            code.replace("return ", f"return {number}0 + ", 2).replace(f"return {number}0 + f", "return f"),
        )
        time.sleep(0.2)
    return max(after - before for before, after in pairwise(times))


def test_without_a_check_any_code_replaces_what_runs_at_once_and_when_ten_saves_are_over(tmp_path):
    with shop(tmp_path, "check = false\n") as this:
        this.up("--watch")
        begin(this)
        pid = this.pid("orders")
        this.write("orders.py", SWAPPED)
        this.wait_replaced("orders", pid)
        assert not warnings(this)
        starts = len(this.events("started", "orders"))
        save_ten_times(this)
        poll_until(lambda: this.unit("orders")["state"] == "ready" and version(this) == 91, 30, "the last code", 0.3)
        assert 1 <= len(this.events("started", "orders")) - starts <= 2
        assert finish(this) == "charged, notified"


@pytest.mark.parametrize(("setting", "checks"), [({}, True), ({"MIKA_CHECK": "0"}, False)])
def test_the_check_can_be_switched_off_for_all(project, setting, checks):
    folder = project("one: python one.py\ntwo: python two.py\n").folder
    units = ProcessFactory(load(folder, environ=setting), ProjectDir(folder)).units(())
    assert [unit.check for unit in units] == [checks, checks]


def test_several_of_a_type_start_are_checked_once_and_replaced_together_and_a_check_ends_with_the_stack(tmp_path):
    with shop(tmp_path) as this:
        names = ("orders.1", "orders.2")
        this.write("worker.py", "import nothing_of_that_name\n" + WORKER)
        this.start_mika("up", "--watch", "orders=2")
        for name in names:
            this.wait_state(name, "gave_up")
        this.write("nothing_of_that_name.py", "")  # the module that it lacks; what is down is not checked
        for name in names:
            this.wait_state(name, "ready")

        begin(this)
        pids = {name: this.pid(name) for name in names}
        this.write("orders.py", PATCHED)
        for name, pid in pids.items():
            this.wait_replaced(name, pid)
        assert len([event for event in this.events("notice") if "the new code fits" in event["message"]]) == 1
        assert finish(this) == "charged, notified"

        this.write("orders.py", "import os, time\nif 'MIKA_INSIDE' in os.environ:\n    time.sleep(8)\n" + PATCHED)
        run = this.folder / ".mika" / "run"
        poll_until(lambda: list(run.glob("check-*")), 20, "the check")
        this.ok("down")
        assert not list(run.glob("check-*"))
