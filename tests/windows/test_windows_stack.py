"""The real bot as Windows processes, on a Temporal server of Linux: what dies comes back, and nothing stays behind.

The hardest surroundings at once: a Chinese Windows (code page 936), a folder with spaces and Chinese characters, a
Procfile with CRLF and a backslash. The tests share one stack, since each start of it costs 20 s.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from mika.errors import NotRunningError
from mika.machine import ports

from tests.kit.machine import poll_until
from tests.kit.windows.project import KILLED, PATIENCE, WinProject

pytestmark = pytest.mark.timeout(300)

PROCFILE = (
    "# 机器人\r\n"
    "api: python -m uvicorn src.api.main:app --host %API_HOST% --port $API_PORT\r\n"
    "\r\n"
    "worker: python 工具\\worker.py\r\n"
)

# The bot's worker, whose event loop can be blocked from outside: a file `block` is enough.
WORKER = """
import asyncio, pathlib, sys, time
from src.workers import temporal_worker

async def obey():
    order = pathlib.Path("block")
    while True:
        await asyncio.sleep(0.1)
        if order.exists():
            order.unlink()
            time.sleep(600)

beat = temporal_worker.beat
async def beat_and_obey(*args):
    await asyncio.gather(beat(*args), obey())
temporal_worker.beat = beat_and_obey
sys.exit(temporal_worker.main())
"""


@pytest.fixture(scope="module")
def shared(windows, agent, temporal_port, tmp_path_factory) -> Iterator[WinProject]:
    project = WinProject(
        tmp_path_factory.mktemp("windows"),
        PROCFILE,
        name="我的 机器人 (1)",
        backend="external",
        env={"TEMPORAL_PORT": str(temporal_port)},
        windows=windows,
        agent=agent,
        chinese=True,
    )
    with project:
        (project.folder / "工具").mkdir()
        project.write("工具/worker.py", WORKER)
        yield project


@pytest.fixture
def bot(shared: WinProject) -> WinProject:
    """The stack, ready: two `mika up` at the same moment have made it."""
    try:
        shared.status()
    except NotRunningError:
        up_twice(shared)
    shared.wait_ready(PATIENCE)
    return shared


def up_twice(shared: WinProject) -> None:
    """One of them wins, the other one attaches; neither asks anything."""
    with ThreadPoolExecutor() as pool:
        ups = [pool.submit(shared.mika, "up", "-d", timeout=200) for _ in range(2)]
        results = [up.result() for up in ups]
    assert [result.code for result in results] == [0, 0], "\n".join(map(str, results))
    assert any("ready after" in result.out for result in results), "\n".join(map(str, results))
    assert all("mika send" in result.out for result in results), "\n".join(map(str, results))
    supervisors = [process for process in shared.alive() if "--serve" in process.cmdline()]
    assert len(supervisors) == 1


def answers(bot: WinProject, *, process: bool = False) -> None:
    told = bot.ok("send", "--json", "你好 ✓", timeout=PATIENCE, process=process).out
    found = json.loads(told[told.index("{") :])  # before it may stand what was said on standard error
    assert "你好 ✓" in found["response"], "JSON keeps what the console cannot show"
    assert found["workflow_id"]


def url(bot: WinProject) -> str:
    return f"http://127.0.0.1:{bot.ports['API_PORT']}"


def test_status(bot: WinProject):
    found = bot.status()
    assert found["state"] == "ready"
    assert found["backend"] == "external"
    assert found["services"][0]["detail"] == "SERVING, namespace default"
    assert found["urls"] == {"api": url(bot)}
    processes = {process["name"]: process for process in found["processes"]}
    assert processes.keys() == {"api", "worker"}
    assert processes["worker"]["detail"] == "polling mika-bot-task-queue"
    for process in processes.values():
        assert process["state"] == "ready"
        assert process["rss_mb"] > 10
        command = bot.agent.call("import psutil\nanswer = psutil.Process(args[0]).cmdline()", process["pid"])
        assert command[0].endswith("python.exe"), "the service itself, not a cmd.exe before it"
    text = bot.ok("status", process=True).out
    assert "polling mika-bot-task-queue" in text
    assert "\x1b" not in text


def test_a_damaged_state_file_is_written_again_and_a_whole_one_is_left(bot: WinProject):
    file = bot.folder / ".mika" / "run" / "state.json"
    whole = file.read_bytes()
    file.write_bytes(b"null")
    poll_until(lambda: file.exists() and file.read_bytes() == whole, PATIENCE, "it is whole again")
    written = file.stat().st_mtime_ns
    time.sleep(2.5)  # it is looked at every 2 s
    assert file.stat().st_mtime_ns == written
    assert bot.status()["state"] == "ready"


def test_send_and_logs(bot: WinProject):
    answers(bot, process=True)
    told = bot.ok("send", "你好 ✓", process=True).out
    assert "你好 ?" in told, "what the code page lacks is replaced, never an error"
    assert httpx.get(f"{url(bot)}/healthz", timeout=30, trust_env=False).status_code == 200
    shown = bot.ok("logs", "-n", "40", process=True).out
    assert re.search(r"^api +\| .*workflow_completed", shown, re.MULTILINE)
    assert re.search(r"^worker \| .*turn_saved", shown, re.MULTILINE)
    assert "workflow_completed" not in bot.ok("logs", "worker").out
    assert "workflow_completed" in bot.ok("logs", "api", "--since", "1h", "--grep", "workflow_c.mpleted").out
    kinds = {json.loads(line)["kind"] for line in bot.ok("logs", "mika").out.splitlines()}
    assert {"started", "ready", "rung_reached"} <= kinds


def test_a_terminated_worker_and_a_terminated_guard_are_replaced(bot: WinProject):
    """Both at once: a message that is sent meanwhile waits for both."""
    before = {name: bot.unit(name) for name in ("api", "worker")}
    guard = bot.guard_pid("api")
    bot.terminate(before["worker"]["pid"])
    bot.terminate(guard)
    answers(bot)
    after = {name: bot.wait_replaced(name, unit["pid"], PATIENCE) for name, unit in before.items()}
    for name, unit in before.items():
        assert after[name]["restarts"] == unit["restarts"] + 1
        assert not bot.agent.call("import psutil\nanswer = psutil.pid_exists(args[0])", unit["pid"])
    assert after["worker"]["last_exit"]["code"] == KILLED
    assert after["worker"]["last_exit"]["reason"].startswith(f"exit code {KILLED}")
    assert after["api"]["last_exit"]["reason"] == "killed because its guard was killed"
    assert bot.guard_pid("api") != guard


def test_a_blocked_event_loop_is_found_and_the_worker_replaced(bot: WinProject):
    before = bot.unit("worker")
    bot.write("block", "")
    found = bot.wait_replaced("worker", before["pid"], PATIENCE)
    assert not (bot.folder / "block").exists()
    assert found["restarts"] > before["restarts"]  # a machine that is busy may delay the beats of the new one, too
    hung = bot.events("unhealthy", "worker")
    assert "no beat" in hung[-1]["reason"]
    log = bot.log("worker")
    assert "Timeout (0:00:04)!" in log
    assert re.search(r'File ".*worker\.py", line \d+ in obey', log), "its stack is in its log"
    answers(bot)


def test_new_code_is_checked_against_recent_runs(bot: WinProject):
    answers(bot)
    pids = {name: bot.pid(name) for name in ("api", "worker")}
    checked = json.loads(bot.ok("check", "--json", "--timeout", "60", process=True).out)["checks"]
    assert [(check["process"], check["state"]) for check in checked] == [("worker", "fits")], checked
    assert checked[0]["fits"] >= 1
    bot.write("工具/worker.py", WORKER.replace("async def obey():", "async def obey(:"))
    try:
        refused = bot.mika("restart", "worker", process=True)
        assert refused.code == 1, str(refused)
        assert "worker.py:5" in refused.out
    finally:
        bot.write("工具/worker.py", WORKER)
    assert {name: bot.pid(name) for name in ("api", "worker")} == pids, "the old code goes on"


def test_restart_is_graceful(bot: WinProject):
    """Ctrl-C through the guard reaches uvicorn and the worker, and they end by themselves."""
    before = {name: bot.pid(name) for name in ("api", "worker")}
    bot.ok("restart", "api", "worker", "--force", process=True)  # the check of the code has a test of its own
    for name, pid in before.items():
        found = bot.wait_replaced(name, pid, PATIENCE)
        assert found["last_exit"]["code"] == 0, found
    assert f"Finished server process [{before['api']}]" in bot.log("api")
    assert "worker_stopped" in bot.log("worker")


def test_the_tree_of_a_terminated_supervisor_stops_gracefully(bot: WinProject):
    found = bot.status()
    pids = {process["name"]: process["pid"] for process in found["processes"]}
    stopped = bot.log("worker").count("worker_stopped")
    bot.terminate(found["supervisor"]["pid"])
    bot.assert_gone(30)
    assert f"Finished server process [{pids['api']}]" in bot.log("api")
    assert bot.log("worker").count("worker_stopped") == stopped + 1
    assert ports.is_free("127.0.0.1", bot.ports["API_PORT"])
    told = bot.error("status", code=3).out
    assert "no stack is running" in told
    assert "我的 机器人 (1)" in told
    assert "nothing is running in" in bot.ok("down").out
