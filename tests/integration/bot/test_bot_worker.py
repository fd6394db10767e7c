"""The worker as a process: its beat, its start, its end."""

from __future__ import annotations

import sys

import pytest

from tests.kit.bot_processes import BotProcesses, TemporalServer
from tests.kit.machine import free_port, poll_until

# A worker whose model blocks the event loop: in Python, and in C code that keeps the interpreter's lock.
_BLOCKING = """
import sys, time
import src.workers.temporal_worker as worker

class Llm:
    async def answer(self, message, history, *, timeout, images=()):
        if message == "block" and not hasattr(self, "blocked"):
            self.blocked = True
            self.blocked_here()
        return "done"

    def blocked_here(self):
        {block}

    async def close(self):
        pass

worker.make_llm = lambda settings: Llm()
sys.exit(worker.main())
"""
_BLOCKS = ["time.sleep(4)"]
if sys.platform == "linux":
    _BLOCKS.append("__import__('ctypes').PyDLL(None).sleep(4)")


def changes(beat, since):
    return beat.exists() and beat.stat().st_mtime_ns != since


@pytest.mark.parametrize("block", _BLOCKS, ids=["python", "gil"][: len(_BLOCKS)])
def test_the_beat_stops_with_the_loop_and_the_stack_is_told(tmp_path, temporal, block):
    beat = tmp_path / "beat"
    with BotProcesses(tmp_path, temporal.port, MIKA_BEAT_FILE=beat, MIKA_HANG_TIMEOUT=2) as bot:
        bot.start_api()
        worker = bot.start("worker", "-c", _BLOCKING.format(block=block))
        worker.wait_for("worker_started")
        for _ in range(3):  # it beats while it has nothing to do
            now = beat.stat().st_mtime_ns
            poll_until(lambda now=now: changes(beat, now), 30, "a beat")
        if sys.platform != "win32":
            assert beat.stat().st_mode & 0o777 == 0o600
        assert bot.post("fine").json()["response"] == "done"
        assert "blocked_here" not in worker.output()
        response = bot.post("block")
        # While it was blocked the timer, armed at the last beat, ran out: so at least 1.6 s had no beat.
        worker.wait_for("blocked_here")
        assert "Timeout (" in worker.output()
        now = beat.stat().st_mtime_ns
        poll_until(lambda: changes(beat, now), 30, "a beat after the block")
        assert bot.completed(response.json()["workflow_id"])["response"] == "done"


def test_a_slow_answer_is_no_hang(tmp_path, temporal):
    beat = tmp_path / "beat"
    code = _BLOCKING.format(block="pass").replace("self.blocked_here()", "await __import__('asyncio').sleep(4)")
    with BotProcesses(tmp_path, temporal.port, MIKA_BEAT_FILE=beat, MIKA_HANG_TIMEOUT=1.5) as bot:
        bot.start_api()
        worker = bot.start("worker", "-c", code)
        worker.wait_for("worker_started")
        assert bot.post("block").status_code == 200
        assert "Timeout (" not in worker.output()


def test_it_waits_for_a_server_that_comes_later(tmp_path):
    with free_port() as port, BotProcesses(tmp_path, port) as bot:
        bot.start_api()
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


def test_a_namespace_that_is_not_there(tmp_path, temporal):
    with BotProcesses(tmp_path, temporal.port, TEMPORAL_NAMESPACE="nowhere") as bot:
        worker = bot.start("worker", "-m", "src.workers.temporal_worker")
        assert worker.wait() == 2
        assert "'nowhere'" in last_line(worker)
        bot.start_api()
        ready = bot.http.get("/readyz").json()
        assert (ready["temporal"]["error"], ready["temporal"]["namespace"]) == ("namespace_missing", "nowhere")
        assert ready["worker"]["error"] == "namespace_missing"
        assert "Traceback" not in worker.output()


def test_a_history_that_cannot_be_opened(tmp_path, temporal):
    (tmp_path / ".mika").write_text("in the way", encoding="utf-8")
    with BotProcesses(tmp_path, temporal.port) as bot:
        worker = bot.start("worker", "-m", "src.workers.temporal_worker")
        assert worker.wait() == 2
        assert "history.sqlite3" in last_line(worker)
        assert "Traceback" not in worker.output()


def test_the_identity_it_is_given(tmp_path, temporal):
    with BotProcesses(tmp_path, temporal.port, MIKA_WORKER_IDENTITY="mika/run-1/worker") as bot:
        assert '"identity": "mika/run-1/worker"' in bot.start_worker().output()


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


def test_a_store_that_is_down_fails_the_message(tmp_path, temporal):
    with BotProcesses(tmp_path, temporal.port) as bot:
        bot.start_api()
        bot.start("worker", "-c", _NO_STORE).wait_for("worker_started")
        problem = bot.post().json()
        assert (problem["code"], problem["cause"]) == ("activity_failed", "activity_failed")
        assert problem["detail"] == "ask_llm: the store is down"
        assert "checks the store of conversations" in problem["fix"]
