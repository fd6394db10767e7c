"""`mika run`, `signal`, `update`, `query` and `skip` on the real server, with the programs' own converters."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

import pytest
from mika.backends.embedded import find_temporal
from mika.replay.check import Program
from mika.stack import running
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus

from tests.kit import talkative
from tests.kit.machine import poll_until, posix_only
from tests.kit.project import Project

T = TypeVar("T")


@pytest.fixture(scope="session")
def _shared_talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    scripts = {"plain": talkative.PLAIN, "coded": talkative.CODED}
    folder = tmp_path_factory.mktemp("talkative")
    with Project(folder, scripts=scripts, toml=talkative.RULES, backend="embedded") as project:
        project.up()
        yield project


@pytest.fixture
def stack(_shared_talkative: Project) -> Project:
    return _shared_talkative


def ask(stack: Project, work: Callable[[Client], Awaitable[T]]) -> T:
    async def main() -> T:
        return await work(await Client.connect(f"127.0.0.1:{stack.ports['TEMPORAL_PORT']}"))

    return asyncio.run(main())


def status(stack: Project, workflow_id: str) -> WorkflowExecutionStatus | None:
    return ask(stack, lambda client: client.get_workflow_handle(workflow_id).describe()).status


def remind(stack: Project, *names: str) -> None:
    """Start a `Reminder` for each, which costs less than a program's own client."""

    async def start(client: Client) -> None:
        for who in names:
            await client.start_workflow("Reminder", who, id=who, task_queue="plain")

    ask(stack, start)


def events(stack: Project, workflow_id: str) -> list[Any]:
    async def fetch(client: Client) -> list[Any]:
        return list((await client.get_workflow_handle(workflow_id).fetch_history()).events)

    return ask(stack, fetch)


@pytest.fixture(scope="module")
def told() -> list[running.Types]:
    """What the programs have told, as soon as one test has asked them."""
    return []


@pytest.fixture
def told_once(told: list[running.Types], monkeypatch: pytest.MonkeyPatch) -> None:
    """All programs are really asked for their types, but only once: for tests of what follows from the answer."""
    really = running.types

    async def types(programs: Sequence[Program]) -> running.Types:
        if not told:
            told.append(await really(programs))
        return told[0]

    monkeypatch.setattr(running, "types", types)


@pytest.mark.usefixtures("told_once")
def test_the_types_of_all_programs_are_listed(stack: Project) -> None:
    found = stack.ok("run", "--list", "--json").json
    assert found["unasked"] == []
    types = {(each["type"], each["queue"]): each for each in found["workflows"]}
    assert set(types) == {
        ("*", "second"),
        ("Both", "plain"),
        ("Both", "second"),
        ("Boot", "coded"),
        ("Buy", "plain"),
        ("Keep", "coded"),
        ("Reminder", "plain"),
    }
    reminder = types["Reminder", "plain"]
    assert (reminder["doc"], reminder["process"]) == ("Reminds somebody later.", "plain")
    assert [(each["name"], each["required"]) for each in reminder["parameters"]] == [("who", True), ("days", False)]
    assert list(reminder["signals"]) == ["say"]
    secret = types["Keep", "coded"]["parameters"][0]["schema"]
    assert secret["properties"]["strength"]["exclusiveMinimum"] == 0  # only the program's own pydantic knows it
    shown = stack.ok("run", "--list").out
    assert "Reminder(who: str, days: int = 20)  in plain, by plain" in shown
    assert "    update add(order: Order)" in shown


def test_run_waits_for_the_result_or_the_cause(stack: Project) -> None:
    file = stack.write("tea.json", '{"id": "tea", "quantity": 2}')
    assert stack.ok("run", "Buy", "--input", f"@{file}", "--wait").json == {"id": "tea!", "quantity": 3}
    failed = stack.mika("run", "Buy", "--queue", "plain", "--input", "-", "--wait", stdin='{"id": "x", "quantity": 10}')
    assert (failed.code, failed.out) == (1, "")
    assert "workflow_failed: the workflow failed: TooMany: too many" in failed.err


WEAK = '{"word": "x", "strength": 0}'


@pytest.mark.usefixtures("told_once")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["Buy", "--queue", "plain", "--input", '{"id": "a", "quantity": "2"}'],
            'order.quantity: "2" is not an integer',
        ),
        (["Buy", "--input", "{id: 1}"], "--input is not JSON"),
        (["Bye", "--queue", "plain"], "there is no workflow 'Bye' in the queue plain; did you mean 'Buy'?"),
        (["Both"], "Both runs in several queues: plain, second"),
        (["Keep", "--queue", "coded", "--input", WEAK, "--input", "1"], "secret.strength: Input should be"),
    ],
)
def test_what_does_not_fit_is_not_sent(stack: Project, arguments: list[str], says: str) -> None:
    assert says in stack.error("run", *arguments, "--id", "never", code=2).err
    with pytest.raises(Exception, match="not found"):
        ask(stack, lambda client: client.get_workflow_handle("never").describe())


@pytest.mark.usefixtures("told_once")
def test_a_queue_that_nobody_here_polls(stack: Project) -> None:
    done = stack.ok("run", "Anything", "--queue", "elsewhere", "--input", "[1]", "--id", "far", "--json").json
    assert "no `ready` rule names elsewhere" in done["notes"][0]
    assert events(stack, "far")[0].workflow_execution_started_event_attributes.input.payloads[0].data == b"[1]"


@pytest.mark.usefixtures("told_once")
@pytest.mark.parametrize("queue", [[], ["--queue", "elsewhere"]])
def test_what_is_too_large_for_the_server_is_told_with_its_limit(stack: Project, queue: list[str]) -> None:
    """The SDK's own warning, on standard output, would be in what a script reads."""
    large = stack.write("large.json", json.dumps(["x" * 3_000_000]))
    done = stack.error("run", "Novel", *queue, "--input", f"@{large}", code=1)
    assert "Blob data size exceeds limit" in done.err
    assert "one payload may have 2 MB: store what is larger elsewhere" in done.err
    assert not done.out


@pytest.mark.usefixtures("told_once")
def test_a_dynamic_workflow_takes_anything(stack: Project) -> None:
    done = stack.ok("run", "Novel", "--input", "[1]", "--input", '"x"', "--wait")
    assert done.json == ["Novel", "[1]", '"x"']
    assert "not checked, because the code says no type: arguments" in done.err


def test_talk_to_one(stack: Project) -> None:
    remind(stack, "talk")
    stack.ok("signal", "talk", "say", "--input", '"hello"')
    assert "has no signal 'sya' (there are: say)" in stack.error("signal", "talk", "sya", "--input", '"x"', code=2).err
    assert "what: 7 is not a string" in stack.error("signal", "talk", "say", "--input", "7", code=2).err
    assert stack.ok("update", "talk", "add", "--input", '{"id": "tea"}').json == 2
    assert stack.ok("query", "talk", "so_far", "--json").json["result"] == ["hello", "tea"]
    assert "known updates: [add]" in stack.error("update", "talk", "aad", code=1).err
    assert "known queries" in stack.error("query", "talk", "sofar", code=1).err


def test_a_codec_is_at_work(stack: Project) -> None:
    """The program's own client makes and reads each payload; what the program itself starts is not sent again."""

    async def boots(client: Client) -> int:
        return (await client.count_workflows("WorkflowType = 'Boot'")).count

    before = ask(stack, boots)
    stack.ok("run", "Keep", "--queue", "coded", "--input", '{"word": "one"}', "--input", "2", "--id", "kept")
    sent = events(stack, "kept")[0].workflow_execution_started_event_attributes.input.payloads
    assert [payload.metadata["encoding"] for payload in sent] == [b"binary/turned"] * 2
    assert stack.ok("query", "kept", "first").json == {"word": "one", "strength": 1}
    assert stack.ok("update", "kept", "count").json == 1
    stack.ok("signal", "kept", "more", "--input", '{"word": "two", "strength": 3}')
    only = ("run", "Keep", "--queue", "coded", "--input", '{"word": "three"}', "--input", "1", "--wait")
    assert stack.ok(*only).json == {"word": "three", "strength": 1}
    poll_until(lambda: status(stack, "kept") == WorkflowExecutionStatus.COMPLETED, 30, "the signal has arrived")
    assert ask(stack, boots) == before


@posix_only
def test_ctrl_c_leaves_it_running(stack: Project) -> None:
    waiting = stack.start_mika("run", "Reminder", "--queue", "plain", "--input", '"bob"', "--id", "patient", "--wait")
    waiting.wait_for("started patient in plain")
    waiting.send(signal.SIGINT)
    assert waiting.wait() == 130
    assert "patient goes on" in waiting.output()
    assert "running" in stack.ok("doctor", "--workflow", "patient").out


def test_time_is_skipped_for_one_run(stack: Project) -> None:
    remind(stack, "carl", "dora")
    began = time.monotonic()
    skipped = stack.ok("skip", "carl", "30d", "--json").json
    assert time.monotonic() - began < 15
    assert skipped["workflow"]["status"] == "running"
    assert [timer["lasts_s"] for timer in skipped["fired"]] == [20 * 86400]
    assert skipped["activities"] == ["remind"]
    assert 9 * 86400 < skipped["next_timer_in_s"] < 10 * 86400 + 60
    assert (stack.folder / "carl.txt").read_text() == "x"
    assert "fired: timer 2 (20d)\ncompleted" in stack.ok("skip", "carl", "2w").out
    assert not any(event.event_type == EventType.EVENT_TYPE_TIMER_FIRED for event in events(stack, "dora"))
    assert not (stack.folder / "dora.txt").exists()
    assert "does not run: completed" in stack.error("skip", "carl", "1d", code=1).err
    assert "'3x' is not a duration" in stack.error("skip", "dora", "3x", code=2).err


def test_a_skip_without_a_worker_says_what_it_waits_for(stack: Project) -> None:
    """The task that waits was given out 20 days from now: a clock that knows nothing of that sees no wait."""
    remind(stack, "evan")
    poll_until(lambda: len(events(stack, "evan")) >= 5, 30, "its timer is set")
    stack.ok("stop", "plain")
    result = stack.mika("skip", "evan", "30d")
    assert result.code == 1
    assert "fired: timer 1 (20d)" in result.out
    assert "not there yet: its next step" in result.out
    assert "mika start plain`" in result.out
    stack.ok("start", "plain")
    poll_until((stack.folder / "evan.txt").exists, 30, "it goes on by itself")


def test_a_server_that_cannot_skip(tmp_path) -> None:
    with Project(tmp_path, procfile="web: sleep 1\n", backend="external") as project:
        command = [str(find_temporal()), "server", "start-dev", "--headless", "--log-level", "error"]
        server = subprocess.Popen([*command, "--port", str(project.ports["TEMPORAL_PORT"])], stdin=subprocess.DEVNULL)
        try:
            poll_until(lambda: project.mika("workflows").code == 0, 30, "the server is there", step=0.5)
            project.ok("run", "Any", "--queue", "any", "--id", "any")
            again = project.error("run", "Any", "--queue", "any", "--id", "any", code=1).err
            assert "any runs already" in again
            said = project.error("skip", "any", "1d", code=1).err
            assert "does not skip time" in said
            assert "--dynamic-config-value frontend.WorkflowTimeSkippingEnabled=true" in said
            assert "is not known" in project.error("run", "Any", code=2).err
            project.write("mika.toml", '[process.web]\nready = "worker:orders"\n')
            only = project.ok("run", "Any", "--json").json
            assert only["queue"] == "orders", "a program that cannot be asked, but its rule names the only queue"
        finally:
            server.terminate()
            server.wait(30)
