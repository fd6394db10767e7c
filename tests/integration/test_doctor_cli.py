"""The doctor on a stack that `mika` runs: its commands fix what it finds, and the API and `mika send` say the same."""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mika.config import load as config
from mika.doctor.run import examine
from mika.project.folder import ProjectDir

from tests.kit.bot import Bot
from tests.kit.machine import DEADLINE, ROOT, poll_until, posix_only, takes_long
from tests.kit.programs import SLEEP
from tests.kit.project import Project

BROKEN_WORKER = "import no_such_luck\n"  # hopeless: given up after two starts, and not after eight
LONE_WORKER = """
import asyncio, os
from temporalio.client import Client
from temporalio.worker import Worker

async def main():
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"])
    await Worker(client, task_queue="parcels", workflows=[]).run()

if __name__ == "__main__":
    asyncio.run(main())
"""
WORKER = "import runpy\nrunpy.run_module('src.workers.temporal_worker', run_name='__main__')\n"


def checks(project: Project, *args: str, **env: str) -> dict[str, dict[str, str]]:
    return {check["id"]: check for check in project.mika("doctor", "--json", *args, env=env).json["checks"]}


def failed(project: Project, *args: str) -> list[str]:
    return [name for name, check in checks(project, *args).items() if check["status"] == "fail"]


@pytest.fixture(scope="module")
def _shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bot]:
    procfile = (
        (ROOT / "Procfile")
        .read_text(encoding="utf-8")
        .replace("python -m src.workers.temporal_worker", "python work.py")
    )
    with Bot(tmp_path_factory.mktemp("doctor"), procfile=procfile) as bot:
        bot.write("work.py", WORKER)
        bot.up()
        yield bot


@pytest.fixture
def stack(_shared_stack: Bot) -> Bot:
    """Up and ready, with a worker whose program a test may break, or have look elsewhere."""
    _shared_stack.write("work.py", WORKER)
    if (settings := _shared_stack.folder / "mika.toml").exists():
        settings.unlink()
        _shared_stack.ok("restart", "worker", "--force")
    for name in ("api", "worker", "temporal"):
        if _shared_stack.unit(name)["state"] in ("stopped", "exited", "gave_up"):
            _shared_stack.ok("start", name)
    _shared_stack.wait_ready()
    return _shared_stack


# --- what it says is what helps ---------------------------------------------------------------------------------------


@takes_long
def test_many_runs_on_a_busy_healthy_stack_give_no_alarm(stack: Bot) -> None:
    """With messages coming in all the time.

    The first test of this stack: what fails in the others, the doctor remembers for minutes.
    """
    settings = config.load(stack.folder, environ=stack.environ())
    folder = ProjectDir(settings.project)
    busy, ended = threading.Event(), []

    def chat() -> None:
        while not busy.wait(0.3):  # what comes without a pause costs several times the CPU, and shows nothing else
            ended.append(stack.post().status_code)

    with ThreadPoolExecutor(1) as threads:
        chatting = threads.submit(chat)
        try:
            for number in range(8):
                report = asyncio.run(examine(settings, folder))
                wrong = [check for check in report.checks if check.status not in ("ok", "skip")]
                assert not wrong, f"run {number}: {wrong}"
                assert not any(check.because for check in report.checks)
        finally:
            busy.set()
            chatting.result(DEADLINE)
    assert set(ended) == {200}
    assert stack.mika("doctor").code == 0


def test_a_stopped_worker_in_every_answer_and_started_again_by_fix(stack: Bot) -> None:
    stack.ok("stop", "worker")
    result = stack.mika("doctor")
    assert result.code == 1
    assert result.out.rstrip().endswith("1 to fix, first: worker")
    lines = [line for line in result.out.splitlines() if line.startswith("FAIL")]
    assert len(lines) == 1
    assert "\x1b" not in result.out
    found = checks(stack)["worker"]
    assert (found["status"], found["fix"]) == ("fail", "`mika start worker`")

    answer = stack.post("hello")
    body = answer.json()
    assert (answer.status_code, body["code"], body["cause"]) == (503, "no_worker", "no_worker")
    assert "`mika start worker`" in body["fix"]
    assert "mika start worker" in body["detail"]
    assert "(no_worker)" in body["detail"]
    found = stack.workflow(body["workflow_id"])
    assert (found["status"], found["cause"]) == ("running", "no_worker")
    assert found["fix"] == body["fix"]
    told = stack.mika("doctor", "--workflow", body["workflow_id"], "--json").json
    assert told["cause"] == body["cause"]
    sent = stack.mika("send", "hello")
    assert sent.code == 1
    assert "no_worker" in sent.err
    assert "mika start worker" in sent.err

    fixed = stack.mika("doctor", "--fix", "--json")
    assert "started worker" in fixed.err
    assert "cause" not in stack.ended(body["workflow_id"])
    poll_until(lambda: not failed(stack), DEADLINE, "all is well", step=1)


def test_a_stopped_server_and_a_worker_that_reconnects(stack: Bot) -> None:
    stack.ok("stop", "temporal")
    found = checks(stack)
    assert [name for name, check in found.items() if check["status"] == "fail"] == ["temporal"]
    assert (found["temporal"]["finding"], found["temporal"]["fix"]) == ("temporal was stopped", "`mika start temporal`")
    stack.ok("start", "temporal")
    worker = checks(stack)["worker"]
    assert worker["status"] == "ok" or "reconnecting" in worker["finding"], worker
    assert "start" not in worker["fix"].replace("restart", "")
    stack.wait_ready()
    poll_until(lambda: not failed(stack), DEADLINE, "the worker has reconnected", step=1)


def test_a_worker_that_gave_up_says_why_and_is_revived(stack: Bot) -> None:
    stack.write("work.py", BROKEN_WORKER)
    stack.mika("restart", "worker", "--force")
    stack.wait_state("worker", "gave_up", timeout=90)
    found = checks(stack)["worker"]
    assert found["status"] == "fail"
    assert "gave up" in found["finding"]
    assert "no_such_luck" in found["finding"]
    assert "`mika restart worker`" in found["fix"]
    still = stack.mika("doctor", "--fix")
    assert still.code == 1
    stack.write("work.py", WORKER)
    fixed = stack.mika("doctor", "--fix")
    assert fixed.code == 0, str(fixed)


@posix_only
def test_a_suspended_worker_api_and_server(stack: Bot) -> None:
    """Before the supervisor has noticed."""
    for name, check, word in (
        ("worker", "worker", "is suspended"),
        ("api", "api", "does not answer"),
        ("temporal", "temporal", "does not answer"),
    ):
        pid = stack.pid(name)
        os.kill(pid, signal.SIGSTOP)
        try:
            found = checks(stack)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert [key for key, one in found.items() if one["status"] == "fail"] == [check], found
        assert word in found[check]["finding"]
        assert f"`mika restart {name}`" in found[check]["fix"]
        stack.wait_ready()


def test_a_port_that_is_taken_the_setting_that_fixes_it_and_a_fix_that_asks_first(tmp_path: Path) -> None:
    class Quiet(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with Project(tmp_path, scripts={"web": SLEEP}, backend="embedded") as project:
        refused = project.mika("doctor", "--fix", stdin="n\n")
        assert refused.code == 1
        assert "start the stack" in refused.err
        assert not (project.folder / ".mika").exists()
        port = project.ports["TEMPORAL_PORT"]
        with http.server.ThreadingHTTPServer(("127.0.0.1", port), Quiet) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            try:
                assert project.mika("up", "-d").code == 2
                found = checks(project)["ports"]
                assert found["status"] == "fail"
                assert f"port {port} (TEMPORAL_PORT) is taken by" in found["finding"]
                other = {"TEMPORAL_PORT": found["fix"].partition("TEMPORAL_PORT=")[2].partition(",")[0]}
                agreed = project.mika("doctor", "--fix", stdin="y\n", timeout=120, env=other)
                assert agreed.code == 0, str(agreed)
                assert project.mika("doctor", env=other).code == 0
            finally:
                server.shutdown()
                thread.join()


@posix_only
def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    with Project(tmp_path, scripts={"web": "import time\nprint('here', flush=True)\ntime.sleep(600)\n"}) as project:
        project.up()
        os.kill(project.status()["supervisor"]["pid"], signal.SIGKILL)
        poll_until(
            lambda: "killed here" in checks(project)["stack"]["finding"],
            DEADLINE,
            "the state of a killed run",
            step=0.3,
        )
        assert checks(project)["stack"]["fix"] == "`mika down`"
        fixed = project.mika("doctor", "--fix", "--json")
        assert "cleared what a killed run left" in fixed.err
        assert {c["id"]: c["finding"] for c in fixed.json["checks"]}["stack"] == "not started by `mika up`"


def test_the_story_of_a_message_has_what_the_processes_logged(stack: Bot) -> None:
    workflow_id = stack.post("hello").json()["workflow_id"]
    shown = stack.ok("doctor", "--workflow", workflow_id).out
    rows = [line.split("s  ", 1)[-1] for line in shown.splitlines()]
    order = ["api    | INFO  workflow_starting", "started by", "worker | INFO  llm_answered", "completed"]
    places = [next(number for number, row in enumerate(rows) if row.startswith(word)) for word in order]
    assert places == sorted(places), shown
    assert shown.count(workflow_id) == 2, "as the title, and in the link to the UI"
    log = stack.ok("doctor", "--workflow", workflow_id, "--json").json["log"]
    assert {line["process"] for line in log["lines"]} == {"api", "worker"}
    assert (log["left_out"], log["complete"]) == (0, True)


def test_watch_goes_on_until_it_is_interrupted(stack: Bot) -> None:
    watching = stack.start_mika("doctor", "--watch")
    watching.wait_for("  temporal  ")
    poll_until(lambda: watching.output().count("  temporal  ") > 1, DEADLINE, "a second round")
    watching.send(signal.SIGINT)
    assert watching.wait() == 130


def test_without_a_stack_it_is_one_line(tmp_path: Path) -> None:
    with Bot(tmp_path) as bot:
        result = bot.mika("doctor")
        assert (result.code, result.out) == (1, "no stack is running here: `mika up`\n")
        story = bot.error("doctor", "--workflow", code=3)
        assert story.err == bot.error("status", code=3).err


def test_send_does_not_wait_for_a_worker_that_looks_elsewhere(stack: Bot) -> None:
    """The last test that needs the worker: the fixture mends it for others only."""
    stack.write(
        "mika.toml",
        '[process.worker.env]\nTEMPORAL_TASK_QUEUE = "mika_bot_task_queue"\n[process.worker]\n'
        'ready = "worker:mika_bot_task_queue"\n',
    )
    stack.ok("restart", "worker", "--force")
    found = checks(stack)["worker"]
    assert found["status"] == "fail"
    assert "polls mika_bot_task_queue" in found["finding"]
    sent = stack.mika("send", "hello", "--timeout", "60")
    assert sent.code == 1
    assert sent.seconds < 30
    assert "wrong_task_queue" in sent.err
    assert "TEMPORAL_TASK_QUEUE=mika-bot-task-queue" in sent.err


# --- the command itself -----------------------------------------------------------------------------------------------


UNKNOWN = LONE_WORKER.replace('"parcels"', "sys.argv[1]")
NO_PROCFILE = [
    ({}, "and no web app or worker was found", "a line for each process"),
    ({"worker.py": LONE_WORKER}, "but worker (`python worker.py`, polls parcels)", "`mika up` starts that"),
    (
        {"worker.py": UNKNOWN},
        "but worker (`python worker.py`, with a task queue that is not known)",
        "`mika up` asks first, on a terminal: which task queue does worker.py poll?",
    ),
]


@pytest.mark.parametrize(("files", "what", "step"), NO_PROCFILE, ids=["empty", "a worker", "a question"])
def test_a_folder_without_a_procfile(tmp_path: Path, files: dict[str, str], what: str, step: str) -> None:
    """What was found there and the next step, in every command; nothing is wrong with it."""
    with Project(tmp_path, "", backend="auto") as project:
        (project.folder / "Procfile").unlink()
        for name, text in files.items():
            project.write(name, text)
        result = project.mika("doctor", "--json")
        assert result.code == 0, str(result)
        found = {check["id"]: check for check in result.json["checks"]}
        assert [name for name, check in found.items() if check["status"] == "warn"] == ["config"]
        assert found["config"]["finding"] == f"no Procfile in {project.folder}, {what}"
        assert step in found["config"]["fix"]
        assert found["temporal"]["status"] == "skip"
        for command in (("status",), ("send", "hello"), ("workflows",), ("doctor", "--workflow", "last")):
            refused = project.error(*command, code=3)
            assert "no stack is running in" in refused.err
            assert f"there is no Procfile here, {what}: " in refused.err, str(refused)
            assert step in refused.err
        assert not (project.folder / ".mika").exists()


def test_without_temporal_there_is_nothing_to_say_of_it(tmp_path: Path) -> None:
    with Project(tmp_path, scripts={"web": "print(1)\n"}) as project:
        environ = {
            name: value for name, value in project.environ().items() if not name.startswith(("TEMPORAL_", "API_"))
        }
        settings = config.load(project.folder, environ=environ)
        report = asyncio.run(examine(settings, ProjectDir(settings.project)))
        found = {check.id: check for check in report.checks}
        assert report.ok
        for name in ("stack", "temporal", "namespace", "ui", "worker", "queue", "api", "workflows"):
            assert (found[name].status, found[name].because) == ("skip", ""), found[name]


@pytest.mark.parametrize(
    ("args", "word"),
    [(["--timeout", "0"], "--timeout"), (["--timeout", "soon"], "--timeout"), (["--payloads"], "--workflow")],
)
def test_wrong_usage(tmp_path: Path, args: list[str], word: str) -> None:
    with Project(tmp_path, scripts={"web": "print(1)\n"}) as project:
        assert word in project.error("doctor", *args, code=2).err


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with Project(tmp_path, scripts={"web": "print(1)\n"}) as project:
        result = project.mika("doctor", "--json")
        assert json.loads(result.out)["version"] == 1
        project.folder.rename(project.folder.with_name("elsewhere"))
        try:
            assert project.mika("doctor").code == 2
        finally:
            project.folder.with_name("elsewhere").rename(project.folder)
