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
from tests.kit.machine import poll_until
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
    await Worker(client, task_queue="jobs", workflows=flows, workflow_runner=runner).run()

asyncio.run(main())
"""
WORKER_RULE = '[process.jobs]\nready = "worker:jobs"\n'
DECLARED = """
[temporal]
namespaces = ["orders"]
search_attributes = { CustomerId = "Keyword", orders = { Total = "Double", Tags = "KeywordList" } }
nexus_endpoints = { billing = { namespace = "orders", task_queue = "billing-jobs" } }
"""
SCHEDULE = """
[schedule.every-second]
workflow = "Report"
task_queue = "jobs"
interval = 1
args = ["nightly", 3]
"""


def stack(folder: Path, toml: str, **env: str) -> Bot:
    made = Bot(folder, procfile="jobs: python w.py\n", name=f"stack-{len(list(folder.iterdir()))}")
    made.write("w.py", WORKER)
    made.write("mika.toml", WORKER_RULE + toml)
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


def test_the_first_start_makes_everything_and_the_second_changes_nothing(tmp_path):
    with stack(tmp_path, DECLARED + SCHEDULE) as this:
        this.up()
        assert ask(this, attributes) == {"CustomerId": 2}
        assert ask(this, attributes, "orders") == {"Total": 4, "Tags": 7}
        assert ask(this, endpoints) == {"billing": ("orders", "billing-jobs")}
        made, before = schedule(this), record(this)
        assert made.schedule.policy.catchup_window == timedelta(minutes=1)
        check = declared_check(this)
        assert (check["status"], check["finding"]) == (
            "ok",
            "1 namespace, 3 search attributes, 1 Nexus endpoint, 1 schedule",
        )
        this.ok("down")
        this.up()
        again = schedule(this)
        assert record(this) == before
        assert again.info.created_at == made.info.created_at
        assert again.info.last_updated_at is None
        assert declared_check(this)["status"] == "ok"
        assert ask(this, lambda client: client.count_workflows("WorkflowType != 'Report'")).count == 0, "no trace of it"


# A few times, since it is a race. A server that always loses it is below: its services learn of things seconds later.
@pytest.mark.parametrize("run", range(3))
def test_workflows_that_need_what_is_declared_work_at_the_very_first_start(tmp_path, run):
    with stack(tmp_path, DECLARED, AT_ONCE="1") as this:
        this.up()

        async def first(client: Client) -> None:
            assert await client.get_workflow_handle("first").result() == "first"
            await client.get_workflow_handle("charge").result()
            for workflow_id in ("first", "charge"):
                history = await client.get_workflow_handle(workflow_id).fetch_history()
                failed = [e for e in history.events if e.HasField("workflow_task_failed_event_attributes")]
                assert not failed, failed
            while not (await client.count_workflows("CustomerId = 'first'")).count:
                await asyncio.sleep(0.05)

        ask(this, first)


def test_a_schedule_fires_down_pauses_it_and_up_resumes_it(tmp_path):
    with stack(tmp_path, SCHEDULE) as this:
        this.up()

        async def results(client: Client) -> list[str]:
            query = "WorkflowType = 'Report' AND ExecutionStatus = 'Completed'"
            ids = [execution.id async for execution in client.list_workflows(query)]
            return [await client.get_workflow_handle(workflow_id).result() for workflow_id in ids]

        assert set(poll_until(lambda: ask(this, results), 15, "a result of the schedule")) == {"nightly 3"}
        this.ok("down")
        # The server alone, as somebody would find it who starts it without mika.
        this.write("Procfile", 'idle: python -c "import time; time.sleep(1000)"\n')
        this.write("mika.toml", "")
        this.up()
        state = schedule(this).schedule.state
        assert state.paused
        assert "mika down" in state.note
        check = declared_check(this)
        assert (check["status"], check["finding"]) == (
            "warn",
            "the schedule every-second was declared before, and is still there",
        )
        assert "temporal schedule delete --schedule-id every-second --namespace default" in check["fix"]
        this.ok("down")
        this.write("Procfile", "jobs: python w.py\n")
        this.write("mika.toml", WORKER_RULE + SCHEDULE)
        this.up()
        assert not schedule(this).schedule.state.paused
        count = len(ask(this, results))
        poll_until(lambda: len(ask(this, results)) > count, 15, "the schedule goes on")


def test_a_pause_of_the_user_stays(tmp_path):
    with stack(tmp_path, SCHEDULE) as this:
        this.up()
        ask(this, lambda client: client.get_schedule_handle("every-second").pause(note="holidays"))
        for _ in range(2):
            this.ok("down")
            this.up()
            state = schedule(this).schedule.state
            assert (state.paused, state.note) == (True, "holidays")
        assert declared_check(this)["status"] == "ok", "a pause is not a change"


def test_an_edited_declaration_is_carried_out(tmp_path):
    with stack(tmp_path, DECLARED + SCHEDULE) as this:
        this.up()
        this.ok("down")
        edited = SCHEDULE.replace("interval = 1", 'cron = "0 3 * * *"')
        this.write("mika.toml", WORKER_RULE + DECLARED.replace("billing-jobs", "other-jobs") + edited)
        this.up()
        assert ask(this, endpoints) == {"billing": ("orders", "other-jobs")}
        described = schedule(this).schedule
        assert not described.spec.intervals
        assert described.spec.calendars[0].hour[0].start == 3
        assert not described.state.paused


def test_what_somebody_else_did_is_said_and_left_alone(tmp_path):
    with stack(tmp_path, DECLARED + SCHEDULE) as this:
        this.up()

        def slower(current: ScheduleUpdateInput) -> ScheduleUpdate:
            changed = current.description.schedule
            changed.spec.intervals[0].every = timedelta(hours=1)
            return ScheduleUpdate(changed)

        ask(this, lambda client: client.get_schedule_handle("every-second").update(slower))
        check = declared_check(this)
        assert check["status"] == "warn"
        assert "the schedule every-second was changed since mika made it" in check["finding"]
        this.ok("down")
        this.write("mika.toml", WORKER_RULE + DECLARED.replace('"Double"', '"Int"') + SCHEDULE)
        this.up()
        left = schedule(this).schedule
        assert left.spec.intervals[0].every == timedelta(hours=1)
        assert not left.state.paused, "it is mika's, and was paused by `down`"
        notes = [event["message"] for event in this.events("notice", "temporal")]
        assert any("was changed since mika made it" in note for note in notes), notes
        assert any("the search attribute Total is Double, and Int is declared (mika.toml:" in note for note in notes)
        check = declared_check(this)
        assert "Total is Double" in check["finding"]
        removal = "temporal operator search-attribute remove --name Total --namespace orders --address 127.0.0.1:"
        assert removal in check["fix"]


def test_a_server_that_says_no_ends_the_start_at_once(tmp_path):
    toml = "[temporal.search_attributes]\n" + "".join(f'K{number} = "Keyword"\n' for number in range(11))
    with stack(tmp_path, toml) as this:
        began = time.monotonic()
        up = this.error("up", "-d", code=1)
        assert time.monotonic() - began < 20
        assert "Temporal refuses the search attribute K10" in up.err
        assert "mika.toml:14" in up.err
        assert [entry["name"] for entry in record(this)] == [f"K{number}" for number in range(10)], "K10 is not mika's"
        this.assert_gone()


def test_a_missing_attribute_is_named_with_the_lines_that_make_it_work(tmp_path):
    with stack(tmp_path, "") as this:
        this.up()

        async def start(client: Client) -> None:
            await client.start_workflow("Order", "late", id="late", task_queue="jobs")

        ask(this, start)
        story = poll_until(
            lambda: (told := this.mika("doctor", "--workflow", "late", "--json").json)["cause"] != "running" and told,
            15,
            "the doctor's story",
        )
        assert story["cause"] == "workflow_task_failing"
        assert "it sets the search attribute CustomerId, which the namespace default does not have" in story["finding"]
        by_hand = (
            "temporal operator search-attribute create --name CustomerId --type TYPE --namespace default --address"
        )
        assert by_hand in story["fix"]
        assert 'CustomerId = "TYPE"` below `[temporal.search_attributes]`' in story["fix"]
        this.write("mika.toml", WORKER_RULE + '[temporal.search_attributes]\nCustomerId = "Keyword"\n')
        check = declared_check(this)
        assert "the search attribute CustomerId is declared (mika.toml:4), and not there" in check["finding"]
        assert check["fix"] == "`mika down` and `mika up`"
        this.ok("down")
        this.up()
        assert ask(this, lambda client: client.get_workflow_handle("late").result()) == "late"


def test_an_external_server_is_only_compared(tmp_path):
    with stack(tmp_path, "") as server, stack(tmp_path, DECLARED + SCHEDULE) as this:
        server.up()
        this.env |= {"MIKA_BACKEND": "external", "TEMPORAL_PORT": str(server.ports["TEMPORAL_PORT"])}
        this.up()
        assert ask(server, attributes) == {}
        assert ask(server, endpoints) == {}
        notes = [event["message"] for event in this.events("notice", "temporal")]
        assert len(notes) == 6, notes
        missing = "the search attribute CustomerId is declared (mika.toml:6), and not there"
        create = "`temporal operator search-attribute create --name CustomerId --type Keyword --namespace default"
        assert any(note.startswith(f"{missing}: {create}") for note in notes), notes
        # What it says works as it stands.
        for note in notes:
            command = note.split("`")[1]
            program, arguments = find_temporal(), shlex.split(command)[1:]
            subprocess.run([program, *arguments], check=True, capture_output=True, timeout=20)
        assert ask(server, attributes) == {"CustomerId": 2}
        check = declared_check(this)
        assert "the declared schedule every-second (mika.toml:9) exists, and mika did not make it" in check["finding"]
        this.ok("down")
        assert not schedule(server).schedule.state.paused


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
