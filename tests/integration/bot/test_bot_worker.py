"""The worker as a process: its beat, its start, its end."""

from __future__ import annotations

import sys

import psutil

from tests.kit.bot_processes import BotProcesses, TemporalServer
from tests.kit.machine import free_port, poll_until, posix_only

# A worker whose model is slow, or blocks the event loop: in Python, and in C code that keeps the interpreter's lock.
_BLOCKING = """
import asyncio, ctypes, sys, time
import src.workers.temporal_worker as worker

class Llm:
    async def answer(self, message, history, *, timeout, images=()):
        if message == "slow":
            await asyncio.sleep(5)
        elif message not in vars(self):
            setattr(self, message, "once")
            getattr(self, f"blocked_{message}", str)()
        return "done"

    def blocked_python(self):
        time.sleep(5)

    def blocked_gil(self):
        ctypes.PyDLL(None).sleep(5)

    async def close(self):
        pass

worker.make_llm = lambda settings: Llm()
sys.exit(worker.main())
"""

# Both pollers of the SDK fail, the second while it already shuts down for the first. Then the SDK never returns.
_POLLERS_FAIL = """
import asyncio, sys
from datetime import timedelta
from temporalio.bridge.worker import Worker
import src.workers.temporal_worker as worker

shuts_down = asyncio.Event()
initiate_shutdown = Worker.initiate_shutdown

def note(self):
    shuts_down.set()
    initiate_shutdown(self)

async def activities(self):
    raise RuntimeError("Poll failure: Namespace default is not found.")

async def workflows(self):
    await shuts_down.wait()
    await asyncio.sleep(0.1)
    raise RuntimeError("Poll failure: the same")

Worker.initiate_shutdown, Worker.poll_activity_task, Worker.poll_workflow_activation = note, activities, workflows
worker.GRACEFUL_SHUTDOWN_TIMEOUT = timedelta(seconds=1)
sys.exit(worker.main())
"""


def changes(beat, since):
    return beat.exists() and beat.stat().st_mtime_ns != since


def test_the_beat_stops_with_the_loop_and_the_stack_is_told_but_a_slow_answer_is_no_hang(idle_bot, tmp_path):
    beat = tmp_path / "beat"
    worker = idle_bot.start("worker", "-c", _BLOCKING, MIKA_BEAT_FILE=beat, MIKA_HANG_TIMEOUT=3)
    worker.wait_for("worker_started")
    for _ in range(3):  # it beats while it has nothing to do
        now = beat.stat().st_mtime_ns
        poll_until(lambda now=now: changes(beat, now), 30, "a beat")
    if sys.platform != "win32":
        assert beat.stat().st_mode & 0o777 == 0o600
    for message in ("fine", "slow"):
        assert idle_bot.post(message).json()["response"] == "done"
    assert "Timeout (" not in worker.output()
    for message in ("python", "gil") if sys.platform == "linux" else ("python",):
        response = idle_bot.post(message)
        # While it was blocked the timer, armed at the last beat, ran out: so at least 2.4 s had no beat.
        worker.wait_for(f"blocked_{message}")
        assert "Timeout (" in worker.output()
        now = beat.stat().st_mtime_ns
        poll_until(lambda now=now: changes(beat, now), 30, "a beat after the block")
        assert idle_bot.completed(response.json()["workflow_id"])["response"] == "done"


def test_it_exits_when_its_pollers_fail_one_after_the_other(idle_bot):
    """For example while a server comes up whose namespace is not there yet."""
    worker = idle_bot.start("worker", "-c", _POLLERS_FAIL)
    assert worker.wait() == 1
    assert worker.output().strip().splitlines()[-1] == (
        "mika worker: RuntimeError: Activity worker failed: Poll failure: Namespace default is not found."
    )


def test_it_waits_for_a_server_that_comes_later(tmp_path):
    with free_port() as port, BotProcesses(tmp_path, port) as processes, processes.api_here() as bot:
        worker = bot.start("worker", "-m", "src.workers.temporal_worker")
        worker.wait_for("waiting_for_temporal")
        response = bot.post()
        assert response.status_code == 503
        assert response.json()["code"] == "temporal_unavailable"
        assert int(response.headers["Retry-After"]) > 0
        assert "workflow_id" not in response.json()
        assert bot.http.get("/workflows/x").json()["code"] == "temporal_unavailable"
        ready = bot.http.get("/readyz")
        assert ready.status_code == 503
        assert {name: ready.json()[name].get("error") for name in ("temporal", "worker", "history")} == {
            "temporal": "unreachable",
            "worker": "unreachable",
            "history": None,
        }
        with TemporalServer(tmp_path, port):
            worker.wait_for("worker_started")
            assert bot.post().status_code == 200
        # A restart of the server on the same data: nothing of the bot needs one.
        with TemporalServer(tmp_path, port):
            poll_until(lambda: bot.post().status_code == 200, 30, "an answer")
            assert worker.popen.poll() is None


def last_line(process):
    return process.output().strip().splitlines()[-1]


def test_a_server_that_never_comes(tmp_path):
    with free_port() as port, BotProcesses(tmp_path, port, TEMPORAL_CONNECT_TIMEOUT=1) as bot:
        worker = bot.start("worker", "-m", "src.workers.temporal_worker")
        assert worker.wait() == 1
        assert "TEMPORAL_HOST" in last_line(worker)
        assert "Traceback" not in worker.output()


def test_a_history_that_cannot_be_opened(tmp_path, temporal):
    (tmp_path / ".mika").write_text("in the way", encoding="utf-8")
    with BotProcesses(tmp_path, temporal.port) as bot:
        worker = bot.start("worker", "-m", "src.workers.temporal_worker")
        assert worker.wait() == 2
        assert "history.sqlite3" in last_line(worker)
        assert "Traceback" not in worker.output()


_NO_STORE = """
import sys
import src.workers.temporal_worker as worker
from src.history.base import HistoryError
from src.history.sqlite import SqliteHistory

async def recent(self, *_, **__):
    raise HistoryError("the store is down")

SqliteHistory.recent = recent
sys.exit(worker.main())
"""


def test_a_store_that_is_down_fails_the_message(idle_bot):
    idle_bot.start("worker", "-c", _NO_STORE).wait_for("worker_started")
    problem = idle_bot.post().json()
    assert (problem["code"], problem["cause"]) == ("activity_failed", "activity_failed")
    assert problem["detail"] == "ask_llm: the store is down"
    assert "checks the store of conversations" in problem["fix"]


@posix_only
def test_a_program_of_the_kit_is_a_process_of_its_own(tmp_path):
    """Also where it is forked from one that has imported the bot."""
    with BotProcesses(tmp_path, 1, COLOUR="blue") as bot:
        told = bot.start("told", "-c", "import os, sys\nprint(os.environ['COLOUR'], os.getcwd())\nsys.exit(7)")
        assert told.wait() == 7
        assert told.output() == f"blue {tmp_path.resolve()}\n"
        endless = bot.start("endless", "-c", "import time\ntime.sleep(600)")
        assert endless.popen.poll() is None
        endless.kill()
        assert endless.popen.returncode == -9
        assert not psutil.pid_exists(endless.pid)
