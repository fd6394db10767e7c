"""Every fault that the doctor knows, done to a real stack started by hand: is it recognised, and as what?

The server has Temporal's own settings, not those of our embedded one: a killed worker stays listed for five minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from launcher import config
from launcher.backends.embedded import find_temporal
from launcher.doctor.run import examine
from launcher.doctor.startup import explain
from launcher.state import ProjectDir
from tests.kit import DEADLINE, ROOT, Bot, Result, free_port, poll_until, posix_only
from tests.unit.bot.stub_http import Answer, StubServer

T = TypeVar("T")
QUEUE, MISSPELT = "mika-bot-task-queue", "mika_bot_task_queue"
WORKFLOW = "ProcessMessageWorkflow"
MESSAGE = {"user_id": "1000112345", "message": "hello", "group_id": "", "reply_to": None}
SOON = timedelta(seconds=30)


class Hand(Bot):
    """The bot in three terminals: a server, the API, a worker; each can be ended and started with other settings."""

    def __init__(self, parent: Path, **options: Any) -> None:
        super().__init__(parent, backend="external", **options)
        self.terminals: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *command: str, **env: str) -> int:
        self.stop(name)
        log = self.folder / f"{name}-terminal.log"
        with log.open("wb") as output:
            self.terminals[name] = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environ(**env),
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
            )
        return self.terminals[name].pid

    def stop(self, name: str, number: int = signal.SIGTERM) -> None:
        popen = self.terminals.pop(name, None)
        if popen is not None:
            if hasattr(signal, "SIGCONT"):
                popen.send_signal(signal.SIGCONT)
            popen.send_signal(number)
            popen.wait(DEADLINE)

    def _stop(self) -> str:
        for name in ("worker", "api", "temporal", *self.terminals):
            self.stop(name, signal.SIGTERM)
        return super()._stop()

    def temporal(self, *more: str) -> int:
        port, ui = (str(self.ports[name]) for name in ("TEMPORAL_PORT", "TEMPORAL_UI_PORT"))
        command = [str(find_temporal()), "server", "start-dev", "--ip", "127.0.0.1", "--port", port, *more]
        command += [] if "--headless" in more else ["--ui-port", ui]
        pid = self.start("temporal", *command, "--log-level", "error", "--db-filename", str(self.folder / "server.db"))
        poll_until(lambda: self.ask(lambda c: c.count_workflows()), DEADLINE, "the server")
        return pid

    def api(self, port: int = 0, **env: str) -> int:
        port = port or self.ports["API_PORT"]
        command = [sys.executable, "-m", "uvicorn", "src.api.main:app", "--host", "127.0.0.1", "--port", str(port)]
        pid = self.start("api", *command, **env)
        self.says("api", "Uvicorn running")
        return pid

    def worker(self, **env: str) -> int:
        pid = self.start("worker", sys.executable, "-m", "src.workers.temporal_worker", **env)
        self.says("worker", "worker_started")
        return pid

    def says(self, name: str, text: str) -> None:
        log = self.folder / f"{name}-terminal.log"
        poll_until(lambda: text in log.read_text(encoding="utf-8"), DEADLINE, f"{text!r} from {name}")

    # --- Temporal ----------------------------------------------------------------------------------------------------

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.ports['TEMPORAL_PORT']}"

    def ask(self, work: Callable[[Client], Awaitable[T]], namespace: str = "default") -> T:
        async def main() -> T:
            try:
                return await work(await Client.connect(self.address, namespace=namespace))
            except RuntimeError as error:  # no connection
                raise OSError(str(error)) from None

        return asyncio.run(main())

    def send(self, name: str = WORKFLOW, *args: Any, queue: str = QUEUE, run_timeout: float = 60) -> str:
        """Start a workflow, as the API does, and wait for nothing."""
        workflow_id = f"{name}-{uuid.uuid4().hex[:8]}"
        arguments = args or ((MESSAGE,) if name == WORKFLOW else ())
        limit = timedelta(seconds=run_timeout)
        self.ask(
            lambda c: c.start_workflow(
                name, args=arguments, id=workflow_id, task_queue=queue, run_timeout=limit, task_timeout=SOON
            )
        )
        return workflow_id

    def result(self, workflow_id: str) -> Any:
        return self.ask(lambda c: asyncio.wait_for(c.get_workflow_handle(workflow_id).result(), DEADLINE))

    # --- the doctor --------------------------------------------------------------------------------------------------

    def checks(self, *args: str, **env: str) -> tuple[Result, dict[str, dict[str, str]]]:
        result = self.mika("doctor", "--json", *args, env=env)
        return result, {check["id"]: check for check in result.json["checks"]}

    def story(self, workflow_id: str, cause: str, words: str = "", timeout: float = DEADLINE) -> dict[str, Any]:
        """What the doctor says of the workflow as soon as it names this cause, in these words."""
        seen: dict[str, Any] = {}

        def look() -> bool:
            result = self.mika("doctor", "--workflow", workflow_id, "--json")
            seen.clear()
            seen.update(result.json, code=result.code)
            return seen.get("cause") == cause and words in seen["finding"]

        try:
            poll_until(look, timeout, f"{cause} for {workflow_id}", step=0.3)
        except AssertionError as error:
            error.add_note(str(seen))
            raise
        assert seen["code"] == (0 if cause in ("healthy", "running") else 1)
        assert len(seen["finding"]) < 400
        assert bool(seen["fix"]) == (cause not in ("healthy", "running"))
        return seen


@pytest.fixture(scope="module")
def _hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hand]:
    with Hand(tmp_path_factory.mktemp("hand")) as hand:
        hand.temporal()
        yield hand


@pytest.fixture
def hand(_hand: Hand) -> Hand:
    """The three terminals, all well. It is shared: a test may break it, and leaves no workflow that runs."""
    if "temporal" not in _hand.terminals:
        _hand.temporal()
    for name in ("api", "worker"):
        if name not in _hand.terminals:
            getattr(_hand, name)()

    async def end_all(client: Client) -> None:
        async for found in client.list_workflows("ExecutionStatus = 'Running'"):
            with contextlib.suppress(Exception):
                await client.get_workflow_handle(found.id).terminate("the test before")

    _hand.ask(end_all)
    return _hand


@contextlib.contextmanager
def suspended(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def inside(hand: Hand, *, queue: str, **options: Any) -> Iterator[None]:
    """A worker in this process, in a thread with a loop of its own."""
    stop, ready = threading.Event(), threading.Event()

    async def main() -> None:
        client = await Client.connect(hand.address)
        async with Worker(client, task_queue=queue, workflow_runner=UnsandboxedWorkflowRunner(), **options):
            ready.set()
            await asyncio.to_thread(stop.wait)

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(lambda: asyncio.run(main()))
        try:
            assert ready.wait(DEADLINE)
            yield
        finally:
            stop.set()
            running.result(DEADLINE)


# --- no false alarm ---------------------------------------------------------------------------------------------------


def test_a_healthy_stack_gives_no_alarm(hand: Hand) -> None:
    hand.worker()  # so that nothing of an earlier test is in its log
    result, found = hand.checks()
    assert result.code == 0, str(result)
    alarms = {name: check for name, check in found.items() if check["status"] not in ("ok", "skip")}
    allowed = {"workflows", "timeouts"}  # earlier tests of this module leave failures of the last minutes
    assert set(alarms) <= allowed, str(result)
    assert {"config", "docker", "ports", "temporal", "namespace", "ui", "api", "worker", "queue", "workflows"} <= set(
        found
    )
    assert {"history", "llm", "logs"} <= set(found)


def test_fifty_runs_on_a_busy_healthy_stack_give_no_alarm(tmp_path: Path) -> None:
    """On our own embedded server, with messages coming in all the time."""
    with Bot(tmp_path) as bot:
        bot.up()
        settings = config.load(bot.folder, environ=bot.environ())
        folder = ProjectDir(settings.project)
        busy, ended = threading.Event(), []

        def chat() -> None:
            while not busy.is_set():
                ended.append(bot.post().status_code)

        with ThreadPoolExecutor(1) as threads:
            chatting = threads.submit(chat)
            try:
                for number in range(50):
                    report = asyncio.run(examine(settings, folder))
                    wrong = [check for check in report.checks if check.status not in ("ok", "skip")]
                    assert not wrong, f"run {number}: {wrong}"
                    assert not any(check.because for check in report.checks)
            finally:
                busy.set()
                chatting.result(DEADLINE)
        assert set(ended) == {200}
        for _ in range(3):
            assert bot.mika("doctor").code == 0


# --- the checklist: one fault, one failed check -----------------------------------------------------------------------


@contextlib.contextmanager
def _no_worker(hand: Hand) -> Iterator[dict[str, str]]:
    hand.stop("worker")
    yield {}


@contextlib.contextmanager
def _killed_worker(hand: Hand) -> Iterator[dict[str, str]]:
    hand.stop("worker", signal.SIGKILL)
    yield {}


@contextlib.contextmanager
def _suspended_worker(hand: Hand) -> Iterator[dict[str, str]]:
    with suspended(hand.terminals["worker"].pid):
        yield {}


@contextlib.contextmanager
def _misspelt_worker(hand: Hand) -> Iterator[dict[str, str]]:
    hand.worker(TEMPORAL_TASK_QUEUE=MISSPELT)
    try:
        yield {}
    finally:
        hand.stop("worker")


@contextlib.contextmanager
def _misspelt_api(hand: Hand) -> Iterator[dict[str, str]]:
    hand.api(TEMPORAL_TASK_QUEUE=MISSPELT)
    try:
        yield {}
    finally:
        hand.stop("api")


@contextlib.contextmanager
def _half_a_worker(hand: Hand) -> Iterator[dict[str, str]]:
    hand.stop("worker")
    with inside(hand, queue=QUEUE, workflows=[Slow]):
        yield {}


@contextlib.contextmanager
def _no_namespace(hand: Hand) -> Iterator[dict[str, str]]:
    yield {"TEMPORAL_NAMESPACE": f"missing-{uuid.uuid4().hex[:6]}"}


@contextlib.contextmanager
def _server_down(hand: Hand) -> Iterator[dict[str, str]]:
    hand.stop("temporal")
    yield {}


@contextlib.contextmanager
def _server_hangs(hand: Hand) -> Iterator[dict[str, str]]:
    with suspended(hand.terminals["temporal"].pid):
        yield {}


@contextlib.contextmanager
def _web_server_instead(hand: Hand) -> Iterator[dict[str, str]]:
    with web_server() as port:
        yield {"TEMPORAL_PORT": str(port)}


@contextlib.contextmanager
def _no_ui(hand: Hand) -> Iterator[dict[str, str]]:
    with free_port() as port:
        yield {"TEMPORAL_UI_PORT": str(port)}


@contextlib.contextmanager
def _no_api(hand: Hand) -> Iterator[dict[str, str]]:
    hand.stop("api")
    yield {}


@contextlib.contextmanager
def _api_hangs(hand: Hand) -> Iterator[dict[str, str]]:
    with suspended(hand.terminals["api"].pid):
        yield {}


@contextlib.contextmanager
def _api_elsewhere(hand: Hand) -> Iterator[dict[str, str]]:
    with free_port() as port:
        hand.api(port)
        try:
            yield {}
        finally:
            hand.stop("api")


@contextlib.contextmanager
def _api_port_taken(hand: Hand) -> Iterator[dict[str, str]]:
    with web_server() as port:
        yield {"API_PORT": str(port)}


@contextlib.contextmanager
def _broken_store(hand: Hand) -> Iterator[dict[str, str]]:
    store = hand.write("broken.sqlite3", b"this is no database, and it is long enough to be looked at" * 100)
    yield {"MIKA_HISTORY_FILE": str(store)}


@contextlib.contextmanager
def _no_mongodb(hand: Hand) -> Iterator[dict[str, str]]:
    with free_port() as port:
        yield {"MONGODB_URL": f"mongodb://me:secret@127.0.0.1:{port}/"}


@contextlib.contextmanager
def _bad_setting(hand: Hand) -> Iterator[dict[str, str]]:
    yield {"API_PORT": "eight thousand"}


@contextlib.contextmanager
def _bad_procfile(hand: Hand) -> Iterator[dict[str, str]]:
    hand.write("Procfile", "api python\n")
    try:
        yield {}
    finally:
        hand.write("Procfile", (ROOT / "Procfile").read_bytes())


@contextlib.contextmanager
def _no_docker(hand: Hand) -> Iterator[dict[str, str]]:
    yield {"MIKA_BACKEND": "docker", "DOCKER_HOST": f"unix://{hand.folder}/no.sock"}


@contextlib.contextmanager
def _hanging_message(hand: Hand) -> Iterator[dict[str, str]]:
    """A workflow of a type that our worker does not have."""
    hand.send("Mistyped")
    poll_until(lambda: "hang" in hand.checks()[1]["workflows"]["finding"], DEADLINE, "a hanging workflow")
    yield {}


@contextlib.contextmanager
def web_server() -> Iterator[int]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


FAULTS: list[tuple[Any, str, str, str, str]] = [
    # fault, the one check that fails ("": none, a warning), word of the finding, of the fix, consequences
    (_no_worker, "worker", f"no worker polls {QUEUE}", "python -m src.workers.temporal_worker", ""),
    (_killed_worker, "worker", "its process is gone", "python -m src.workers.temporal_worker", ""),
    (_suspended_worker, "worker", "is suspended", "kill -CONT", ""),
    (_misspelt_worker, "worker", f"polls {MISSPELT}", f"TEMPORAL_TASK_QUEUE={QUEUE}", ""),
    (_misspelt_api, "api", f"puts messages into {MISSPELT}", f"TEMPORAL_TASK_QUEUE={QUEUE}", ""),
    (_half_a_worker, "worker", "but no activities", "register both", ""),
    (_no_namespace, "namespace", "has no namespace", "operator namespace create -n missing-", "worker queue workflows"),
    (_server_down, "temporal", "nothing listens there", "start that server", "namespace worker queue workflows api ui"),
    (_server_hangs, "temporal", "does not answer within 2 s", "restart that server", "namespace worker queue api"),
    (_web_server_instead, "ports", "(TEMPORAL_PORT) is taken by ", "TEMPORAL_PORT=", "temporal namespace worker"),
    (_no_ui, "", "does not answer", "TEMPORAL_UI_PORT", ""),
    (_no_api, "api", "nothing listens at", "uvicorn src.api.main:app", ""),
    (_api_hangs, "api", "accepts a connection and does not answer", "kill ", ""),
    (_api_elsewhere, "api", "the API listens on port", "API_PORT=", ""),
    (_api_port_taken, "ports", "(API_PORT) is taken by ", "API_PORT=", "api"),
    (_broken_store, "history", "file is not a database", "mv ", ""),
    (_no_mongodb, "history", "does not answer", "MONGODB_URL", ""),
    (_bad_setting, "config", "API_PORT", "", "temporal worker api logs"),
    (_bad_procfile, "config", "Procfile:1", "", ""),
    (_no_docker, "docker", "does not answer", "start Docker", ""),
    (_hanging_message, "workflows", "workflow_task_failing", "register that workflow", ""),
]


@posix_only
@pytest.mark.parametrize(
    ("fault", "failed", "finding", "fix", "consequences"), FAULTS, ids=[case[0].__name__.strip("_") for case in FAULTS]
)
def test_each_fault_is_one_failed_check(
    hand: Hand, fault: Any, failed: str, finding: str, fix: str, consequences: str
) -> None:
    with fault(hand) as env:
        result, found = hand.checks(**env)
        told = explained(hand, env, failed)
    down = [name for name, check in found.items() if check["status"] == "fail"]
    assert down == ([failed] if failed else []), str(result)
    assert result.code == (1 if failed else 0)
    assert result.json["ok"] is (not failed)
    check = found[failed or "ui"]
    assert finding in check["finding"], str(result)
    assert fix in check["fix"], str(result)
    assert len(check["finding"]) <= 300
    assert "secret" not in result.out
    for name in consequences.split():
        assert found[name]["status"] == "skip", f"{name}: {found[name]}"
        assert found[name]["because"] == failed, f"{name}: {found[name]}"
    if failed in ("temporal", "namespace", "ports", "worker", "api") and "API_PORT" not in env:
        assert finding in told, f"`mika up` says {told!r}"


def explained(hand: Hand, env: dict[str, str], failed: str) -> str:
    """What `mika up` would say about this fault at its end."""
    if failed not in ("temporal", "namespace", "ports", "worker", "api"):
        return ""
    settings = config.load(hand.folder, environ=hand.environ(**env))
    service = failed if failed in ("worker", "api") else "temporal"
    return asyncio.run(explain(settings, ProjectDir(settings.project), service, "not yet"))


@posix_only
def test_no_check_waits_for_the_time_out_of_another(hand: Hand) -> None:
    """Server and API hang: 2 s each, and together no more."""
    with suspended(hand.terminals["temporal"].pid), suspended(hand.terminals["api"].pid):
        result, found = hand.checks("--timeout", "4")
    assert [name for name, check in found.items() if check["status"] == "fail"] == ["temporal", "api"], str(result)


# --- one workflow: one fault, one cause -------------------------------------------------------------------------------


def test_a_message_that_was_answered_is_healthy(hand: Hand) -> None:
    workflow_id = hand.post().json()["workflow_id"]
    story = hand.story(workflow_id, "healthy")
    told = " ".join(entry["text"] for entry in story["timeline"])
    for word in ("started by mika-api/", "taken by worker mika-worker/", "activity ask_llm completed", "completed"):
        assert word in told
    assert "hello" not in told
    assert f"/workflows/{workflow_id}/" in story["workflow"]["ui"]
    assert story["workflow"]["status"] == "completed"
    assert hand.mika("doctor", "--workflow", "last", "--json").json["workflow"]["id"] == workflow_id
    shown = hand.mika("doctor", "--workflow", workflow_id[:-4], "--payloads")
    assert shown.code == 0, str(shown)
    assert '"message": "hello"' in shown.out


@posix_only
@pytest.mark.parametrize("end", ["SIGTERM", "SIGKILL"])
def test_no_worker_and_the_command_that_mends_it(hand: Hand, end: str) -> None:
    hand.stop("worker", getattr(signal, end))
    workflow_id = hand.send()
    assert "python -m src.workers.temporal_worker" in hand.story(workflow_id, "no_worker")["fix"]
    hand.worker()
    assert hand.result(workflow_id)["response"]
    hand.story(workflow_id, "healthy")


@posix_only
def test_a_suspended_worker(hand: Hand) -> None:
    with suspended(hand.terminals["worker"].pid):
        workflow_id = hand.send()
        story = hand.story(workflow_id, "worker_unresponsive")
        assert "does not answer" in story["finding"]
    assert hand.result(workflow_id)["response"]


def test_a_worker_on_a_misspelt_queue_and_the_setting_that_mends_it(hand: Hand) -> None:
    hand.worker(TEMPORAL_TASK_QUEUE=MISSPELT)
    workflow_id = hand.send()
    story = hand.story(workflow_id, "wrong_task_queue")
    assert f"TEMPORAL_TASK_QUEUE={QUEUE}" in story["fix"]
    hand.worker(TEMPORAL_TASK_QUEUE=QUEUE)
    assert hand.result(workflow_id)["response"]


def test_a_message_in_a_misspelt_queue_and_its_retry(hand: Hand) -> None:
    workflow_id = hand.send(queue=MISSPELT)
    story = hand.story(workflow_id, "wrong_task_queue")
    assert f"TEMPORAL_TASK_QUEUE={QUEUE}" in story["fix"]
    again = hand.ok("workflows", "retry", workflow_id, "--yes", "--json").json
    assert again["queue"] == QUEUE
    assert hand.result(again["id"])["response"]
    hand.ok("workflows", "terminate", workflow_id, "--yes")
    hand.story(workflow_id, "terminated")


def test_a_worker_in_another_namespace(hand: Hand) -> None:
    other = f"other-{uuid.uuid4().hex[:6]}"
    created = hand.mika("doctor", "--fix", "--json", env={"TEMPORAL_NAMESPACE": other})
    assert f"created the namespace {other}" in created.err
    assert {c["id"]: c["status"] for c in created.json["checks"]}["namespace"] == "ok"
    hand.worker(TEMPORAL_NAMESPACE=other)
    workflow_id = hand.send()
    story = hand.story(workflow_id, "wrong_namespace")
    assert other in story["finding"]
    away = hand.mika("doctor", "--workflow", workflow_id, "--json", env={"TEMPORAL_NAMESPACE": other})
    assert (away.code, away.json["cause"]) == (1, "not_found")
    assert "TEMPORAL_NAMESPACE=default" in away.json["fix"]
    hand.worker()


def test_an_unknown_workflow(hand: Hand) -> None:
    story = hand.story("no-such-workflow", "not_found")
    assert story["workflow"] == {
        "id": "no-such-workflow",
        "run_id": "",
        "status": "not_found",
        "age_s": None,
        "ui": None,
    }


def test_a_prefix_of_several(hand: Hand) -> None:
    common = f"{WORKFLOW}-"
    assert hand.send().startswith(common)
    assert hand.send().startswith(common)
    found = hand.mika("doctor", "--workflow", common, "--json")
    assert (found.code, found.json["error"]["code"]) == (1, "ambiguous")


# What the model at LLM_BASE_URL may do, what the workflow's cause then is, and what `--llm` says of it.
MODELS: list[tuple[str, Any, str, str, str]] = [
    ("wrong key", Answer(401, {"error": {"message": "bad key"}}), "activity_failed", "LLM_API_KEY", "answers 401"),
    ("too many", Answer(429, {"error": {}}, {"Retry-After": "20"}), "activity_retrying", "429", "answers 429"),
    ("broken", Answer(500, {"error": {"message": "oops"}}), "activity_retrying", "500", "answers 500"),
    (
        "a web page",
        Answer(200, b"<html></html>", {"Content-Type": "text/html"}),
        "activity_failed",
        "OpenAI",
        "text/html",
    ),
    ("hangs", None, "timed_out_slow", "did not answer within", ""),
]


@pytest.mark.parametrize(("name", "answer", "cause", "words", "check"), MODELS, ids=[case[0] for case in MODELS])
def test_trouble_with_the_model(hand: Hand, name: str, answer: Any, cause: str, words: str, check: str) -> None:
    with StubServer() as stub:
        stub.default = answer or stub.holding()
        model = {"LLM_BASE_URL": f"{stub.url}/v1", "LLM_API_KEY": "key", "LLM_MODEL": "stub"}
        hand.worker(**model)
        workflow_id = hand.send(run_timeout=6 if name == "hangs" else 60)
        story = hand.story(workflow_id, cause, words)
        assert "ask_llm" in story["finding"]
        if check:
            result, found = hand.checks("--llm", **model)
            assert found["llm"]["status"] == "fail", str(result)
            assert check in found["llm"]["finding"], str(result)
            assert "key" not in found["llm"]["finding"].lower().replace("key:", "")
        else:
            assert "WORKFLOW_RUN_TIMEOUT" in story["fix"]
        hand.stop("worker")


def test_a_model_that_answers(hand: Hand) -> None:
    with StubServer() as stub:
        result, found = hand.checks("--llm", LLM_BASE_URL=f"{stub.url}/v1", LLM_MODEL="stub")
        assert found["llm"]["status"] == "ok", str(result)
        assert stub.requests[0][2]["max_tokens"] == 1


def test_a_run_that_is_too_short_and_the_setting_that_mends_it(hand: Hand) -> None:
    """The model needs 1.5 s; a run of 2 s gives it half."""
    with StubServer() as stub:
        slow = Answer(hold=threading.Event())  # nobody sets it: it answers when its patience is over
        timer = threading.Timer(1.5, slow.hold.set)  # type: ignore[union-attr]
        stub.default = slow
        hand.worker(LLM_BASE_URL=f"{stub.url}/v1", LLM_MODEL="stub")
        limits = {"WORKFLOW_RUN_TIMEOUT": "2", "WORKFLOW_EXECUTION_TIMEOUT": "4"}
        workflow_id = hand.send(run_timeout=2)
        result = hand.mika("doctor", "--workflow", workflow_id, "--json", env=limits)
        poll_until(
            lambda: (
                hand.mika("doctor", "--workflow", workflow_id, "--json", env=limits).json["cause"] == "timed_out_slow"
            ),
            DEADLINE,
            "timed_out_slow",
        )
        result = hand.mika("doctor", "--workflow", workflow_id, "--json", env=limits)
        assert result.code == 1
        assert "WORKFLOW_RUN_TIMEOUT=4" in result.json["fix"], str(result)
        timer.start()
        again = hand.ok("workflows", "retry", workflow_id, "--yes", "--json").json
        assert hand.result(again["id"])["response"] == "from the model"
        timer.join()
        hand.stop("worker")


def test_a_store_of_conversations_that_is_down(hand: Hand) -> None:
    with free_port() as port:
        hand.worker(MONGODB_URL=f"mongodb://127.0.0.1:{port}/")
        workflow_id = hand.send(run_timeout=20)
        story = hand.story(workflow_id, "activity_failed", "load_history")
        assert "HistoryError" in story["finding"]
        assert "`mika doctor` checks the store" in story["fix"]
        hand.stop("worker")


# --- workflows that are broken in themselves --------------------------------------------------------------------------


@activity.defn
async def sleeper(duration: float) -> None:
    await asyncio.sleep(duration)


@activity.defn
async def breaker(retryable: bool) -> None:
    from temporalio.exceptions import ApplicationError

    raise ApplicationError("it broke", type="Broken", non_retryable=not retryable)


@workflow.defn
class Slow:
    """An activity that sleeps longer than it may."""

    @workflow.run
    async def run(self, duration: float, limit: float) -> None:
        once = RetryPolicy(maximum_attempts=1)
        await workflow.execute_activity(
            sleeper, duration, start_to_close_timeout=timedelta(seconds=limit), retry_policy=once
        )


@workflow.defn
class Breaking:
    @workflow.run
    async def run(self, retryable: bool) -> None:
        await workflow.execute_activity(breaker, retryable, start_to_close_timeout=SOON)


@workflow.defn
class Untaken:
    """An activity in a queue that nobody polls."""

    @workflow.run
    async def run(self, limit: float) -> None:
        await workflow.execute_activity(
            "anything", task_queue="nobodys-queue", schedule_to_close_timeout=timedelta(seconds=limit)
        )


@workflow.defn
class Buggy:
    @workflow.run
    async def run(self) -> None:
        raise KeyError("typo")


@workflow.defn(name="Changing")
class Before:
    @workflow.run
    async def run(self) -> None:
        await workflow.sleep(0.5)
        await workflow.wait_condition(lambda: False)


@workflow.defn(name="Changing")
class After:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(sleeper, 0.0, start_to_close_timeout=SOON)


BROKEN: list[tuple[str, tuple[Any, ...], float, str, str]] = [
    # workflow, arguments, run time-out, cause, words of the finding
    ("Slow", (20.0, 1.0), 60, "timed_out_slow", "start-to-close time-out of 1.0 s"),
    ("Slow", (20.0, 20.0), 2, "timed_out_slow", "of the 2.0 s that the whole run had"),
    ("Slow", (8.0, 20.0), 60, "running", "activity sleeper runs since"),
    ("Breaking", (True,), 60, "activity_retrying", "Broken: it broke"),
    ("Breaking", (True,), 3, "activity_failed", "Broken: it broke"),
    ("Breaking", (False,), 60, "activity_failed", "failed once: Broken: it broke"),
    ("Untaken", (60.0,), 60, "no_worker", "nobodys-queue"),
    ("Untaken", (1.0,), 60, "timed_out_no_worker", "no worker took the activity anything within 1.0 s"),
    ("Buggy", (), 60, "workflow_task_failing", "KeyError: 'typo'"),
    ("Missing", (), 60, "workflow_task_failing", "is not registered"),
    ("Missing", (), 2, "workflow_task_failing", "until its 2.0 s were over"),
]


@pytest.mark.parametrize(("name", "args", "limit", "cause", "words"), BROKEN)
def test_broken_workflows(hand: Hand, name: str, args: tuple[Any, ...], limit: float, cause: str, words: str) -> None:
    queue = f"own-{uuid.uuid4().hex[:6]}"
    with inside(hand, queue=queue, workflows=[Slow, Breaking, Untaken, Buggy], activities=[sleeper, breaker]):
        workflow_id = hand.send(name, *args, queue=queue, run_timeout=limit)
        hand.story(workflow_id, cause, words)


def test_a_run_that_nobody_took(hand: Hand) -> None:
    workflow_id = hand.send(queue="nobodys-queue", run_timeout=1)
    story = hand.story(workflow_id, "timed_out_no_worker")
    assert "no worker took it for 1." in story["finding"]


def test_code_that_changed_under_a_running_workflow(hand: Hand) -> None:
    queue = f"own-{uuid.uuid4().hex[:6]}"
    with inside(hand, queue=queue, workflows=[Before], max_cached_workflows=0):
        workflow_id = hand.send("Changing", queue=queue)
        hand.story(workflow_id, "running")
        poll_until(lambda: len(hand.story(workflow_id, "running")["timeline"]) > 2, DEADLINE, "the timer")
    with inside(hand, queue=queue, workflows=[After], activities=[sleeper], max_cached_workflows=0):
        hand.ask(lambda c: c.get_workflow_handle(workflow_id).signal("wake", "up"))
        story = hand.story(workflow_id, "workflow_task_failing")
    assert "does not fit what it already did" in story["finding"]
    assert "Nondeterminism" in " ".join(story["evidence"])


# --- the list ---------------------------------------------------------------------------------------------------------


def test_the_list_of_workflows_needs_no_browser(hand: Hand) -> None:
    good = hand.post().json()["workflow_id"]
    stuck = hand.send("Missing")
    bad = hand.send(queue="nobodys-queue", run_timeout=1)
    hand.story(bad, "timed_out_no_worker")
    hand.story(stuck, "workflow_task_failing")
    found = {row["id"]: row for row in hand.ok("workflows", "--json").json["workflows"]}
    assert (found[good]["status"], found[good]["cause"]) == ("completed", "healthy")
    assert (found[stuck]["status"], found[stuck]["cause"]) == ("running", "workflow_task_failing")
    assert (found[bad]["status"], found[bad]["cause"]) == ("timed_out", "timed_out_no_worker")
    assert good not in hand.ok("workflows", "--failed").out
    running = hand.ok("workflows", "--running", "-n", "1", "--json").json["workflows"]
    assert [row["id"] for row in running] == [stuck]
    refused = hand.mika("workflows", "cancel", good, "--yes")
    assert refused.code == 1
    assert "does not run" in refused.err
    asked = hand.mika("workflows", "terminate", stuck, stdin="n\n")
    assert asked.code == 130
    assert hand.mika("workflows", "terminate", stuck, stdin="y\n").code == 0
    hand.story(stuck, "terminated")


def test_cancel(hand: Hand) -> None:
    queue = f"own-{uuid.uuid4().hex[:6]}"
    with inside(hand, queue=queue, workflows=[Before]):
        workflow_id = hand.send("Changing", queue=queue)
        hand.story(workflow_id, "running")
        hand.ok("workflows", "cancel", workflow_id, "--yes")
        hand.story(workflow_id, "canceled")


@posix_only
def test_without_a_server_there_is_no_story(hand: Hand) -> None:
    hand.stop("temporal")
    for command in (["doctor", "--workflow", "x"], ["workflows"], ["workflows", "retry", "x", "--yes"]):
        result = hand.error(*command, code=1)
        assert "nothing listens there" in result.err
    assert hand.mika("doctor", "--workflow", "x", "--json").json["error"]["code"] == "temporal_unavailable"
