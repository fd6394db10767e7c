"""What is stuck goes on: `mika workflows reset`, `terminate`, `retry` and `export`, on a real server."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus, WorkflowHistory
from temporalio.common import Priority, RetryPolicy

from tests.kit.machine import DEADLINE, POSIX, poll_until
from tests.kit.project import Project

T = TypeVar("T")

WORKER = """
import asyncio, os
from datetime import timedelta
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from order import Order

def step(name):
    @activity.defn(name=name)
    async def run(order: str) -> None:
        with open("steps.txt", "a", encoding="utf-8") as file:
            file.write(f"{name} {order}\\n")
        if order.startswith("bad"):
            raise ApplicationError("bad", non_retryable=True)
    return run

async def main():
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"])
    steps = [step(name) for name in ("charge", "pack", "label", "ship")]
    cheap = {"workflow_runner": UnsandboxedWorkflowRunner(), "build_id": "kit"}  # else a worker reads every module
    await Worker(client, task_queue="orders", workflows=[Order], activities=steps, **cheap).run()

asyncio.run(main())
"""
ORDER = """
from datetime import timedelta
from temporalio import workflow

@workflow.defn
class Order:
    def __init__(self):
        self.paid = False

    @workflow.signal
    def pay(self):
        self.paid = True

    @workflow.run
    async def run(self, order: str) -> None:
        soon = timedelta(seconds=30)
        await workflow.execute_activity("charge", order, start_to_close_timeout=soon)
        await workflow.execute_activity("pack", order, start_to_close_timeout=soon)
        await workflow.wait_condition(lambda: self.paid)
        await workflow.execute_activity("ship", order, start_to_close_timeout=soon)
"""
MISSPELT, LABEL = ORDER.replace('"pack"', '"lable"'), ORDER.replace('"pack"', '"label"')
NUMBER = 9  # runs at once: the command asks and resets up to 8 at the same time
RAISING = ORDER.replace("        soon =", "        raise KeyError('typo')\n        soon =")


class Shop(Project):
    """One worker; each of its steps leaves a line in `steps.txt`."""

    def __init__(self, parent: Any) -> None:
        super().__init__(parent, "worker: python w.py\n", backend="embedded")
        (self.folder / "pyproject.toml").unlink(missing_ok=True)
        self.write("w.py", WORKER)
        self.write("order.py", ORDER)
        self.write("mika.toml", '[process.worker]\nready = "worker:orders"\n')
        self._loop = asyncio.Runner()
        self._client: Client | None = None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._loop.close()
        super().__exit__(kind, error, trace)

    def ask(self, work: Callable[[Client], Awaitable[T]]) -> T:
        async def main() -> T:
            self._client = self._client or await Client.connect(f"127.0.0.1:{self.ports['TEMPORAL_PORT']}")
            return await work(self._client)

        return self._loop.run(main())

    def deploy(self, code: str) -> None:
        if (self.folder / "order.py").read_text(encoding="utf-8") != code:
            self.write("order.py", code)
            self.ok("restart", "worker", "--force")

    def start(self, number: int, prefix: str = "order", task_timeout: float = 10) -> list[str]:
        ids = [f"{prefix}-{uuid.uuid4().hex[:8]}" for _ in range(number)]
        limit = timedelta(seconds=task_timeout)

        async def start(client: Client) -> None:
            options: dict[str, Any] = {"task_queue": "orders", "task_timeout": limit}
            await asyncio.gather(*(client.start_workflow("Order", each, id=each, **options) for each in ids))

        self.ask(start)
        return ids

    def orders(self, number: int, **options: Any) -> list[str]:
        """Runs that have charged and packed, and wait to be paid; no worker has anything of theirs to do."""
        self.deploy(ORDER)
        ids = self.start(number, **options)

        def are_waiting() -> bool:
            raw = [each.raw_description for each in self.described(ids)]
            is_idle = not any(each.pending_activities or each.HasField("pending_workflow_task") for each in raw)
            return is_idle and self.steps(ids)["pack"] == number

        poll_until(are_waiting, DEADLINE, "charged and packed")
        return ids

    def pay(self, ids: list[str]) -> None:
        async def signal(client: Client) -> None:
            await asyncio.gather(*(client.get_workflow_handle(each).signal("pay") for each in ids))

        self.ask(signal)

    def steps(self, ids: list[str]) -> Counter[str]:
        path = self.folder / "steps.txt"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return Counter(line.split()[0] for line in lines if line.split()[1] in ids)

    def count(self, query: str) -> int:
        return self.ask(lambda client: client.count_workflows(query)).count

    def described(self, ids: list[str]) -> list[WorkflowExecutionDescription]:
        """Of the current run of each."""

        async def describe(client: Client) -> list[WorkflowExecutionDescription]:
            return await asyncio.gather(*(client.get_workflow_handle(each).describe() for each in ids))

        return self.ask(describe)

    def wait_completed(self, ids: list[str], timeout: float = DEADLINE) -> None:
        done = WorkflowExecutionStatus.COMPLETED
        poll_until(lambda: all(each.status == done for each in self.described(ids)), timeout, "completed", step=0.2)

    def wait_stuck(self, ids: list[str], attempt: int = 2) -> None:
        def attempts() -> list[int]:
            return [each.raw_description.pending_workflow_task.attempt for each in self.described(ids)]

        poll_until(lambda: min(attempts()) >= attempt, DEADLINE, f"attempt {attempt}", step=0.2)

    def history(self, workflow_id: str) -> WorkflowHistory:
        return self.ask(lambda client: client.get_workflow_handle(workflow_id).fetch_history())


@pytest.fixture(scope="module")
def _shared_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with Shop(tmp_path_factory.mktemp("shop")) as shop:
        shop.up()
        yield shop


@pytest.fixture
def shop(_shared_shop: Shop) -> Shop:
    """Shared: a start costs seconds, and no test sees the runs of another."""
    return _shared_shop


def test_one_command_lets_all_stuck_runs_go_on(shop: Shop) -> None:
    """More than it resets at the same time. No step before the point of the reset runs twice."""
    ids = shop.orders(NUMBER)
    shop.deploy(MISSPELT)
    shop.pay(ids)
    shop.wait_stuck(ids)
    shop.deploy(LABEL)
    refused = shop.error("workflows", "reset", "--stuck", "--to", "10", code=2)
    assert "give --yes" in refused.err
    assert f"{ids[0]} (Order): reset to event 10; may run again: pack\n" in refused.out
    done = shop.ok("workflows", "reset", "--stuck", "--yes", "--json").json
    assert {run["state"] for run in done["workflows"]} == {"done"}
    assert {run["id"] for run in done["workflows"]} == set(ids)
    shop.wait_completed(ids)
    assert shop.steps(ids) == dict.fromkeys(("charge", "pack", "label", "ship"), NUMBER)
    assert shop.ok("workflows", "reset", "--stuck", "--yes").out == "there are none\n"


def test_while_the_code_raises_no_reset_helps_and_after_a_fix_it_goes_on_by_itself(shop: Shop) -> None:
    """The embedded server tries again every 5 s: by default, the pause would be 20 s by now."""
    ids = shop.orders(2, task_timeout=1)
    slow = shop.orders(1, task_timeout=60)  # what the killed worker has is given out again only then
    shop.deploy(RAISING)
    shop.pay([*ids, *slow])
    shop.wait_stuck([*ids, *slow])
    listed = shop.ok("workflows").out
    assert "stuck: 3" in listed
    assert "`mika workflows reset --stuck --to last-good`" in listed
    refused = shop.mika("workflows", "reset", "--stuck", "--yes", "--json")
    assert refused.code == 1
    assert {run["state"] for run in refused.json["workflows"]} == {"failed"}
    assert "no reset helps: the code as it is now raises: 'typo' (order.py:16)" in refused.json["workflows"][0]["text"]
    assert "`mika restart worker`" in refused.json["workflows"][0]["fix"]
    shop.wait_stuck(ids, attempt=6)
    shop.deploy(ORDER)
    began = time.monotonic()
    shop.wait_completed(ids)
    assert time.monotonic() - began < 8
    again = shop.ok("workflows", "reset", "--stuck", "--yes", "--json").json["workflows"]
    assert [(run["id"], run["again"]) for run in again] == [(slow[0], [])]
    shop.wait_completed(slow, 5)
    assert shop.steps([*ids, *slow]) == {"charge": 3, "pack": 3, "ship": 3}


def test_a_step_and_what_follows_runs_again_on_an_ended_run(shop: Shop) -> None:
    (done,) = ids = shop.orders(1)
    shop.pay(ids)
    shop.wait_completed(ids)
    refused = shop.error("workflows", "reset", done, "--to", "7", "--yes", code=1)
    assert "event 7 is not the end of a workflow task; those are 4, 10, " in refused.err
    refused = shop.error("workflows", "reset", done, "--to", "pak", "--yes", code=1)
    assert "it has no activity pak; it has charge, pack, ship" in refused.err
    query = ("workflows", "reset", "--query", f"WorkflowId = '{done}'", "--to", "pack", "--yes", "--json")
    run = shop.ok(*query).json["workflows"][0]
    assert (run["to"], run["again"]) == (10, ["pack", "ship"])
    poll_until(lambda: shop.steps(ids) == {"charge": 1, "pack": 2, "ship": 2}, DEADLINE, "two steps ran again")
    shop.wait_completed(ids)
    assert {run["state"] for run in shop.ok(*query).json["workflows"]} == {"skipped"}
    assert shop.steps(ids) == {"charge": 1, "pack": 2, "ship": 2}
    assert shop.ok("workflows", "reset", done, "--to", "first", "--yes", "--json").json["workflows"][0]["to"] == 4
    poll_until(lambda: shop.steps(ids) == {"charge": 2, "pack": 3, "ship": 3}, DEADLINE, "all steps ran again")


def test_what_is_started_again_keeps_its_schedule_retries_priority_and_summary(shop: Shop) -> None:
    cron = f"cron-{uuid.uuid4().hex[:8]}"

    async def start(client: Client) -> None:
        options: dict[str, Any] = {"task_queue": "orders", "cron_schedule": "@every 1h"}
        options |= {"retry_policy": RetryPolicy(maximum_attempts=3), "priority": Priority(priority_key=2)}
        await client.start_workflow("Order", cron, id=cron, static_summary="the hourly one", **options)

    def again() -> WorkflowExecutionDescription:
        new_id = shop.ok("workflows", "retry", cron, "--yes", "--json").json["workflows"][0]["new_id"]
        return shop.described([new_id])[0]

    def started(run: WorkflowExecutionDescription) -> tuple[str, int]:
        async def first(client: Client) -> tuple[str, int]:
            history = await client.get_workflow_handle(run.id).fetch_history()
            attributes = history.events[0].workflow_execution_started_event_attributes
            return attributes.cron_schedule, attributes.retry_policy.maximum_attempts

        return shop.ask(first)

    shop.ask(start)
    beside = again()  # it runs, and its schedule goes on
    shop.ok("workflows", "terminate", cron, beside.id, "--yes")
    instead = again()
    assert (started(beside), started(instead)) == (("", 3), ("@every 1h", 3))
    for run in (beside, instead):
        config = run.raw_description.execution_config
        assert config.user_metadata.summary.data == b'"the hourly one"'
        assert run.raw_info.priority.priority_key == 2
    shop.ok("workflows", "terminate", instead.id, "--yes")


def test_many_at_once_and_again(shop: Shop) -> None:
    """What is repeated does only what is left."""
    open_ids = shop.orders(3, prefix="many")
    bad = shop.start(2, prefix="bad")
    poll_until(lambda: shop.count("ExecutionStatus = 'Failed'") >= 2, DEADLINE, "two failed", step=0.2)
    retry = ("workflows", "retry", "--cause", "activity_failed", "--all", "--yes", "--json")
    runs = shop.ok(*retry).json["workflows"]
    assert {run["id"] for run in runs if run["state"] == "done"} == set(bad)
    new_ids = [run["new_id"] for run in runs if run["state"] == "done"]
    poll_until(lambda: shop.count("ExecutionStatus = 'Failed'") >= 4, DEADLINE, "these failed, too", step=0.2)
    again = {run["id"]: run["state"] for run in shop.ok(*retry).json["workflows"]}
    assert {each: again[each] for each in (*bad, *new_ids)} == dict.fromkeys(bad, "skipped") | dict.fromkeys(
        new_ids, "done"
    )
    refused = shop.error("workflows", "terminate", "--query", "Colour = 'red'", code=2)
    assert "Colour" in refused.err
    assert "which workflows?" in shop.error("workflows", "terminate", code=2).err
    terminate = ("workflows", "terminate", "--query", "WorkflowId STARTS_WITH 'many-'", "--yes")
    assert "terminate: 3 done" in shop.ok(*terminate).out
    assert shop.ok(*terminate).out == "there are none\n"
    some = shop.mika("workflows", "terminate", *open_ids[:2], "--yes")
    assert some.code == 1
    assert "terminate: 0 done, 2 failed" in some.out


def test_an_exported_history_is_private_and_can_be_checked(shop: Shop) -> None:
    (done,) = ids = shop.orders(1, prefix="order:1")
    shop.pay(ids)
    shop.wait_completed(ids)
    run = shop.ok("workflows", "export", done, "-o", str(shop.folder / "histories"), "--json").json["workflows"][0]
    path = Path(run["file"])
    assert path.name.startswith("order_1-")
    assert POSIX is False or path.stat().st_mode & 0o777 == 0o600
    history = WorkflowHistory.from_json(done, path.read_text(encoding="utf-8"))
    assert list(history.events) == list(shop.history(done).events)
    shop.write("order.py", LABEL)
    told = shop.mika("check", "worker", "--histories", str(path)).out
    assert f"does not fit 1 closed run of Order ({path.stem})" in told
    assert "it asks for the activity label" in told, "where the recorded run has pack"
    shop.write("order.py", ORDER)


def test_an_empty_id_is_wrong_usage_whether_or_not_a_server_runs(project: Callable[..., Project]) -> None:
    this = project("web: python -m http.server\n")
    for command in (["doctor", "--workflow", ""], ["workflows", "terminate", " ", "--yes"]):
        assert "the id of the workflow is empty" in this.error(*command, code=2).err
