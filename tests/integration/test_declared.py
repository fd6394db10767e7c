"""What `[temporal]` and `[schedule.NAME]` declare is on the server before a worker starts, and stays what it is."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mika.backends.embedded import find_temporal
from mika.config.load import load
from mika.declared.declaring import Declaring
from mika.declared.record import Record
from mika.project.folder import ProjectDir
from mika.readiness.ladder import climb
from mika.readiness.temporal import TemporalProbe
from mika.supervisor.unit import Launch, Unit
from temporalio import workflow
from temporalio.client import Client, ScheduleDescription, ScheduleUpdate, ScheduleUpdateInput
from temporalio.common import SearchAttributeKey
from temporalio.worker import Worker

from tests.kit.bot import Bot
from tests.kit.machine import poll_until, takes_long
from tests.kit.terminals import Hand

# The worker writes down what it finds when it starts: whether Temporal had everything before.
WORKER = """
import asyncio, os
from datetime import timedelta
from temporalio import workflow
from temporalio.client import Client
from temporalio.common import SearchAttributeKey
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

CUSTOMER = SearchAttributeKey.for_keyword("CustomerId")

@workflow.defn
class Order:
    @workflow.run
    async def run(self, customer: str) -> str:
        workflow.upsert_search_attributes([CUSTOMER.value_set(customer)])
        return customer

@workflow.defn
class Charge:
    # It calls a Nexus endpoint. Nobody answers, so it does not wait.

    @workflow.run
    async def run(self) -> None:
        client = workflow.create_nexus_client(endpoint="billing", service="Billing")
        call = asyncio.create_task(client.start_operation("charge", 1, output_type=int))
        await workflow.sleep(0.1)
        call.cancel()

@workflow.defn
class Report:
    @workflow.run
    async def run(self, name: str, count: int) -> str:
        return f"{name} {count}"

async def main():
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"])
    if os.environ.get("AT_ONCE"):
        await client.start_workflow("Order", "first", id="first", task_queue="jobs")
        await client.start_workflow("Charge", id="charge", task_queue="jobs")
    flows, runner = [Order, Charge, Report], UnsandboxedWorkflowRunner()
    await Worker(client, task_queue="jobs", workflows=flows, workflow_runner=runner, build_id="kit").run()

asyncio.run(main())
"""
WORKER_RULE = '[process.jobs]\nready = "worker:jobs"\n'
DECLARED = """
[temporal]
namespaces = ["orders"]
search_attributes = { CustomerId = "Keyword", orders = { Total = "Double", Tags = "KeywordList" } }
nexus_endpoints = { billing = { namespace = "orders", task_queue = "billing-jobs" } }
"""
# By name. The first one fires while a test watches.
SCHEDULES = {
    name: f"""
[schedule.{name}]
workflow = "Report"
task_queue = "jobs"
interval = {seconds}
args = ["nightly", 3]
"""
    for name, seconds in {"every-second": 1, "holiday": 3600, "edited": 3600, "slower": 3600}.items()
}
WITH_WORKER, IDLE = "jobs: python w.py\n", 'idle: python -IS -c "import time; time.sleep(1000)"\n'


def every(*names: str) -> str:
    return "".join(SCHEDULES[name] for name in names)


def stack(folder: Path, toml: str, procfile: str = WITH_WORKER, **env: str) -> Bot:
    made = Bot(folder, procfile=procfile, name=f"stack-{len(list(folder.iterdir()))}")
    made.write("w.py", WORKER)
    made.write("mika.toml", (WORKER_RULE if procfile == WITH_WORKER else "") + toml)
    made.env |= env
    return made


def ask(this: Bot, question: Callable[[Client], Awaitable[Any]], namespace: str = "default") -> Any:
    async def answer() -> Any:
        return await question(await Client.connect(f"127.0.0.1:{this.ports['TEMPORAL_PORT']}", namespace=namespace))

    return asyncio.run(answer())


def schedule(this: Bot, name: str = "every-second") -> ScheduleDescription:
    return ask(this, lambda client: client.get_schedule_handle(name).describe())


def declared_check(this: Bot) -> dict[str, Any]:
    checks = this.mika("doctor", "--json").json["checks"]
    return next(check for check in checks if check["id"] == "declared")


def record(this: Bot) -> list[dict[str, str]]:
    return json.loads((this.folder / ".mika/data/declared-embedded.json").read_text())


async def attributes(client: Client) -> dict[str, int]:
    from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest

    request = ListSearchAttributesRequest(namespace=client.namespace)
    answer = await client.service_client.operator_service.list_search_attributes(request)
    return dict(answer.custom_attributes)


async def endpoints(client: Client) -> dict[str, tuple[str, str]]:
    from temporalio.api.operatorservice.v1 import ListNexusEndpointsRequest

    answer = await client.service_client.operator_service.list_nexus_endpoints(ListNexusEndpointsRequest(page_size=10))
    workers = {endpoint.spec.name: endpoint.spec.target.worker for endpoint in answer.endpoints}
    return {name: (worker.namespace, worker.task_queue) for name, worker in workers.items()}


@takes_long
@pytest.mark.timeout(240)
def test_what_is_declared_is_made_once_and_kept_as_it_is_declared_over_many_starts(tmp_path):
    with stack(tmp_path, "") as this:
        this.up()
        a_missing_attribute_is_named_with_the_lines_that_make_it_work(this)

        this.env["AT_ONCE"] = "1"
        down_and_up(this, DECLARED + every(*SCHEDULES))
        this.env.pop("AT_ONCE")
        assert ask(this, lambda client: client.get_workflow_handle("late").result()) == "late"
        everything_is_there_before_the_first_worker(this)
        made, before = schedule(this), record(this)
        assert made.schedule.policy.catchup_window == timedelta(minutes=1)
        assert results(this, more_than=0) == {"nightly 3"}
        ask(this, lambda client: client.get_schedule_handle("holiday").pause(note="holidays"))

        down_and_up(this, DECLARED + every("holiday", "edited", "slower"), IDLE)
        down_pauses_what_is_declared_no_more(this)

        before_the_start = len(started(this))
        down_and_up(this, DECLARED + every(*SCHEDULES))
        assert not schedule(this).schedule.state.paused, "what `mika down` has paused"
        results(this, more_than=before_the_start)
        assert record(this) == before, "the second start changes nothing"
        assert schedule(this).info.created_at == made.info.created_at
        assert schedule(this).info.last_updated_at is None
        assert holiday(this) == (True, "holidays"), "a pause of the user stays"
        assert declared_check(this)["status"] == "ok", "and is not a change"
        others = "WorkflowType NOT IN ('Report', 'Order', 'Charge')"
        assert ask(this, lambda client: client.count_workflows(others)).count == 0, "no trace of how it was proved"

        what_somebody_else_does_is_said(this)
        edited = SCHEDULES["edited"].replace("interval = 3600", 'cron = "0 3 * * *"')
        changed = DECLARED.replace("billing-jobs", "other-jobs").replace('"Double"', '"Int"')
        down_and_up(this, changed + every("every-second", "holiday", "slower") + edited, IDLE)
        an_edit_is_carried_out_and_what_somebody_else_did_is_left_alone(this)
        assert holiday(this) == (True, "holidays"), "also the third time"
        a_server_of_somebody_else_is_only_compared(this, tmp_path)


def down_and_up(this: Bot, toml: str, procfile: str = WITH_WORKER) -> None:
    this.ok("down")
    this.write("Procfile", procfile)
    this.write("mika.toml", (WORKER_RULE if procfile == WITH_WORKER else "") + toml)
    this.up()


def a_missing_attribute_is_named_with_the_lines_that_make_it_work(this: Bot) -> None:
    ask(this, lambda client: client.start_workflow("Order", "late", id="late", task_queue="jobs"))
    story = poll_until(
        lambda: (told := this.mika("doctor", "--workflow", "late", "--json").json)["cause"] != "running" and told,
        15,
        "the doctor's story",
        step=0.3,
    )
    assert story["cause"] == "workflow_task_failing"
    assert "it sets the search attribute CustomerId, which the namespace default does not have" in story["finding"]
    by_hand = "temporal operator search-attribute create --name CustomerId --type TYPE --namespace default --address"
    assert by_hand in story["fix"]
    assert 'CustomerId = "TYPE"` below `[temporal.search_attributes]`' in story["fix"]
    this.write("mika.toml", WORKER_RULE + '[temporal.search_attributes]\nCustomerId = "Keyword"\n')
    check = declared_check(this)
    assert "the search attribute CustomerId is declared (mika.toml:4), and not there" in check["finding"]
    assert check["fix"] == "`mika down` and `mika up`"


def everything_is_there_before_the_first_worker(this: Bot) -> None:
    assert ask(this, attributes) == {"CustomerId": 2}
    assert ask(this, attributes, "orders") == {"Total": 4, "Tags": 7}
    assert ask(this, endpoints) == {"billing": ("orders", "billing-jobs")}
    check = declared_check(this)
    found = "1 namespace, 3 search attributes, 1 Nexus endpoint, 4 schedules"
    assert (check["status"], check["finding"]) == ("ok", found)
    ask(this, work_at_the_first_attempt)


async def work_at_the_first_attempt(client: Client) -> None:
    """The workflows that a worker starts with AT_ONCE, and that need what is declared.

    It is a race. A server that always loses it is below: its services learn of things seconds later.
    """
    assert await client.get_workflow_handle("first").result() == "first"
    await client.get_workflow_handle("charge").result()
    for workflow_id in ("first", "charge"):
        history = await client.get_workflow_handle(workflow_id).fetch_history()
        failed = [e for e in history.events if e.HasField("workflow_task_failed_event_attributes")]
        assert not failed, failed
    async with asyncio.timeout(15):
        while not (await client.count_workflows("CustomerId = 'first'")).count:
            await asyncio.sleep(0.05)


def started(this: Bot) -> list[str]:
    """The ids of what the schedule has started, and the worker has done."""

    async def look(client: Client) -> list[str]:
        query = "WorkflowType = 'Report' AND ExecutionStatus = 'Completed'"
        return [execution.id async for execution in client.list_workflows(query)]

    return ask(this, look)


def results(this: Bot, *, more_than: int) -> set[str]:
    ids = poll_until(lambda: (done := started(this))[more_than:] and done, 15, "a result of the schedule", step=0.3)

    async def look(client: Client) -> set[str]:
        return {await client.get_workflow_handle(workflow_id).result() for workflow_id in ids}

    return ask(this, look)


def holiday(this: Bot) -> tuple[bool, str]:
    state = schedule(this, "holiday").schedule.state
    return state.paused, state.note or ""


def down_pauses_what_is_declared_no_more(this: Bot) -> None:
    """As somebody would find it who starts the server without mika."""
    state = schedule(this).schedule.state
    assert state.paused
    assert "mika down" in state.note
    assert not schedule(this, "edited").schedule.state.paused, "what is still declared goes on"
    assert holiday(this) == (True, "holidays")
    check = declared_check(this)
    found = "the schedule every-second was declared before, and is still there"
    assert (check["status"], check["finding"]) == ("warn", found)
    assert "temporal schedule delete --schedule-id every-second --namespace default" in check["fix"]


def what_somebody_else_does_is_said(this: Bot) -> None:
    def slower(current: ScheduleUpdateInput) -> ScheduleUpdate:
        changed = current.description.schedule
        changed.spec.intervals[0].every = timedelta(hours=2)
        return ScheduleUpdate(changed)

    ask(this, lambda client: client.get_schedule_handle("slower").update(slower))
    check = declared_check(this)
    assert check["status"] == "warn"
    assert "the schedule slower was changed since mika made it" in check["finding"]


def an_edit_is_carried_out_and_what_somebody_else_did_is_left_alone(this: Bot) -> None:
    assert ask(this, endpoints) == {"billing": ("orders", "other-jobs")}
    edited, left = schedule(this, "edited").schedule, schedule(this, "slower").schedule
    assert not edited.spec.intervals
    assert edited.spec.calendars[0].hour[0].start == 3
    assert not edited.state.paused
    assert left.spec.intervals[0].every == timedelta(hours=2)
    assert not left.state.paused, "it is mika's, and was paused by `down`"
    notes = [event["message"] for event in this.events("notice", "temporal")]
    assert any("was changed since mika made it" in note for note in notes), notes
    assert any("the search attribute Total is Double, and Int is declared (mika.toml:" in note for note in notes)
    check = declared_check(this)
    assert "Total is Double" in check["finding"]
    removal = "temporal operator search-attribute remove --name Total --namespace orders --address 127.0.0.1:"
    assert removal in check["fix"]


def a_server_of_somebody_else_is_only_compared(server: Bot, folder: Path) -> None:
    """With a stack that declares other things than that server has."""
    toml = DECLARED + SCHEDULES["slower"]
    names = {"CustomerId": "ClientId", "orders": "shops", "billing": "refunds", "slower": "rarely"}
    for ours, others in names.items():
        toml = toml.replace(ours, others)
    with stack(folder, toml, procfile=IDLE) as this:
        this.env |= {"MIKA_BACKEND": "external", "TEMPORAL_PORT": str(server.ports["TEMPORAL_PORT"])}
        before = ask(server, attributes), ask(server, endpoints)
        this.up()
        assert (ask(server, attributes), ask(server, endpoints)) == before
        notes = [event["message"] for event in this.events("notice", "temporal")]
        assert len(notes) == 6, notes
        missing = "the search attribute ClientId is declared (mika.toml:4), and not there"
        create = "`temporal operator search-attribute create --name ClientId --type Keyword --namespace default"
        assert any(note.startswith(f"{missing}: {create}") for note in notes), notes
        # What it says works as it stands.
        for note in notes:
            command = note.split("`")[1]
            program, arguments = find_temporal(), shlex.split(command)[1:]
            subprocess.run([program, *arguments], check=True, capture_output=True, timeout=20)
        assert ask(server, attributes) == {"CustomerId": 2, "ClientId": 2}
        check = declared_check(this)
        assert "the declared schedule rarely (mika.toml:7) exists, and mika did not make it" in check["finding"]
        this.ok("down")
        assert not schedule(server, "rarely").schedule.state.paused


def test_a_server_that_says_no_ends_the_start_at_once(tmp_path):
    toml = "[temporal.search_attributes]\n" + "".join(f'K{number} = "Keyword"\n' for number in range(11))
    with stack(tmp_path, toml, procfile=IDLE) as this:
        began = time.monotonic()
        up = this.error("up", "-d", code=1)
        assert time.monotonic() - began < 20
        assert "Temporal refuses the search attribute K10" in up.err
        assert "mika.toml:12" in up.err
        assert [entry["name"] for entry in record(this)] == [f"K{number}" for number in range(10)], "K10 is not mika's"
        this.assert_gone()


@workflow.defn(sandboxed=False)
class Labelled:
    """Sets every attribute of its namespace."""

    @workflow.run
    async def run(self) -> None:
        updates = [SearchAttributeKey.for_int(f"Number{number}").value_set(number) for number in range(3)]
        workflow.upsert_search_attributes([*updates, SearchAttributeKey.for_keyword("CustomerId").value_set("c")])


def test_a_server_whose_services_learn_of_it_seconds_later_is_waited_for(tmp_path):
    """As in most compose files: only the development server reads its search attributes anew each time."""
    numbers = ", ".join(f'Number{number} = "Int"' for number in range(3))
    toml = f"""
temporal_namespace = "orders"
[temporal]
namespaces = ["orders"]
search_attributes = {{ CustomerId = "Keyword", {numbers} }}
"""
    with Hand(tmp_path, procfile="idle: python idle.py\n") as hand:
        hand.write("mika.toml", toml)
        hand.temporal("--dynamic-config-value", "system.forceSearchAttributesCacheRefreshOnRead=false")
        port, folder = hand.ports["TEMPORAL_PORT"], ProjectDir(hand.folder)
        folder.create()
        waited: list[str] = []

        async def make_and_use() -> None:
            probe = TemporalProbe("127.0.0.1", port, "orders", {})
            unit = Unit(
                name="temporal", type="temporal", role="service", probes=lambda _launch: (probe.rungs("jobs"), None)
            )
            record, declared = Record(folder, "docker"), load(hand.folder, environ={}).declared
            declaring = Declaring(declared, probe, record, is_ours=True, say=waited.append, refuse=pytest.fail)
            rungs, _ = declaring.add_to([unit])[0].probes(Launch(1, "", "", None, tuple))
            assert [rung.name for rung in rungs].index("declared namespaces") == 3, "before the namespace is waited for"
            async with asyncio.timeout(60):
                await climb(
                    rungs, on_reached=lambda *_: None, on_waiting=lambda rung, why: waited.append(f"{rung}: {why}")
                )
            client = await Client.connect(f"127.0.0.1:{port}", namespace="orders")
            async with Worker(client, task_queue="jobs", workflows=[Labelled]):
                handle = await client.start_workflow(Labelled.run, id="labelled", task_queue="jobs")
                await handle.result()
            events = (await handle.fetch_history()).events
            assert not [event for event in events if event.HasField("workflow_task_failed_event_attributes")]
            async with asyncio.timeout(10):
                while not (await client.count_workflows("Number2 = 2 AND CustomerId = 'c'")).count:
                    await asyncio.sleep(0.05)

        asyncio.run(make_and_use())
        named = "declared search attributes: search attribute CustomerId, Number0, Number1, Number2: "
        assert any(line.startswith(named) for line in waited), waited
