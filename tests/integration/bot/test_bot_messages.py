"""Messages through the real API, server and worker."""

from __future__ import annotations

import asyncio
import re
import shlex
import signal
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from mika.backends.embedded import find_temporal
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import PauseActivityRequest
from temporalio.client import Client

from tests.kit.bot_processes import SIGSTOP, BotProcesses, TemporalServer, needs_sigstop
from tests.kit.machine import DEADLINE, poll_until
from tests.kit.stub_http import Answer, completion


def problem(response, status, code):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["code"] == code
    assert body["title"]
    assert body["detail"]
    return body


def test_no_worker_is_said_soon_the_message_is_kept_and_others_are_answered_and_remembered(tmp_path, temporal):
    with BotProcesses(tmp_path, temporal.port) as bot:
        api = bot.start_api()
        _no_worker(bot)
        _answered_and_remembered(bot, api.output, temporal.port)


def _no_worker(bot):
    response = bot.post("hello", user_id="8")
    body = problem(response, 503, "no_worker")
    assert int(response.headers["Retry-After"]) > 0
    assert body["workflow_id"] in body["detail"]
    assert response.elapsed.total_seconds() < 10
    assert bot.workflow(body["workflow_id"])["status"] == "running"
    worker = bot.http.get("/readyz").json()["worker"]
    assert (worker["state"], worker["error"], worker["queue"]) == ("unavailable", "no_worker", bot.queue)
    bot.start_worker()
    assert "hello" in bot.completed(body["workflow_id"])["response"]


def _answered_and_remembered(bot, output, port):
    first = bot.post("the secret text 你好")
    assert first.status_code == 200, first.text
    body = first.json()
    assert body["status"] == "ok"
    assert body["success"] is True
    assert body["skip_pipeline"] is True
    assert "LLM_BASE_URL" in body["response"]
    assert "the secret text 你好" in body["response"]
    assert "10001" not in body["workflow_id"]
    assert "remember: 1" in bot.post("again").json()["response"]
    assert "remember: 0" in bot.post("in a group", group_id="20002").json()["response"]
    assert "remember: 0" in bot.post("somebody else", user_id="7").json()["response"]
    assert bot.workflow(body["workflow_id"]) == {
        "workflow_id": body["workflow_id"],
        "status": "completed",
        "response": body["response"],
    }
    ready = bot.http.get("/readyz")
    assert ready.status_code == 200, ready.text
    dependencies = {name: ready.json()[name] for name in ("temporal", "worker", "history")}
    for dependency in dependencies.values():
        assert dependency.pop("detail")
    assert dependencies == {
        "temporal": {"state": "ready", "address": f"127.0.0.1:{port}", "namespace": "default"},
        "worker": {"state": "ready", "namespace": "default", "queue": bot.queue},
        "history": {
            "state": "ready",
            "kind": "sqlite",
            "file": str(bot.folder.resolve() / ".mika" / "data" / "history.sqlite3"),
        },
    }
    log = output()
    assert "secret text" not in log
    assert "1000112345" not in log
    assert '"user_id": "10001123..."' in log
    assert '"workflow_starting"' in log
    assert '"workflow_completed"' in log


def test_the_same_message_id_is_answered_once(llm_bot, llm, worker):
    held = llm.holding()
    llm.plan.append(held)
    llm.default = Answer(body=completion("a second answer"))
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(llm_bot.post, "hi", message_id="m-1") for _ in range(2)]
        poll_until(lambda: llm.requests, 30, "a request to the model")
        held.hold.set()
        answers = [future.result() for future in both]
    later = llm_bot.post("hi", message_id="m-1")
    assert [answer.json()["response"] for answer in (*answers, later)] == ["from the model"] * 3
    assert len({answer.json()["workflow_id"] for answer in (*answers, later)}) == 1
    assert len(llm.requests) == 1
    assert llm_bot.post("hi", message_id="m-2").json()["response"] == "a second answer"
    assert len(llm_bot.turns()) == 2


async def pause_only_run(server: TemporalServer) -> None:
    """Pause the activity that the only open run waits for."""
    client = await Client.connect(f"127.0.0.1:{server.port}")
    async with asyncio.timeout(DEADLINE):
        while True:
            async for run in client.list_workflows('ExecutionStatus="Running"'):
                execution = WorkflowExecution(workflow_id=run.id, run_id=run.run_id)
                request = PauseActivityRequest(namespace=client.namespace, execution=execution, type="ask_llm")
                await client.workflow_service.pause_activity(request)
                return
            await asyncio.sleep(0.1)


@needs_sigstop
def test_a_stopped_worker_is_unresponsive(llm_bot, worker):
    assert llm_bot.post().status_code == 200
    worker.send(SIGSTOP)
    try:
        problem(llm_bot.post(), 504, "worker_unresponsive")
    finally:
        worker.kill()


def test_a_paused_step_is_said_with_the_command_that_lets_it_go_on(llm_bot, llm, worker, temporal):
    llm.plan.append(Answer(429, {}, {"Retry-After": "20"}))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(llm_bot.post, "hi", message_id="paused")
        poll_until(lambda: llm.requests, 30, "a request to the model")
        asyncio.run(pause_only_run(temporal))
        body = problem(answer.result(), 504, "activity_paused")
    command = re.search("`temporal (activity unpause .*?)`", body["detail"])
    assert command, body
    subprocess.run([find_temporal(), *shlex.split(command[1])], check=True, capture_output=True)
    assert llm_bot.completed(body["workflow_id"])["response"] == "from the model"


def test_a_message_in_flight_survives_a_killed_worker(llm_bot, llm, worker):
    llm.plan.append(llm.holding())
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(llm_bot.post, "hi")
        poll_until(lambda: llm.requests, 30, "a request to the model")
        llm_bot.start_worker()  # before the kill: how fast a loaded machine starts one is not the point here
        worker.kill()
        response = answer.result()
    assert response.status_code == 200, response.text
    assert response.json()["response"] == "from the model"
    assert len(llm.requests) == 2
    assert llm_bot.turns() == [("hi", "from the model")]


def test_a_worker_that_does_not_come_back_is_said(llm_bot, llm, worker):
    llm.plan.append(llm.holding())
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(llm_bot.post, "hi")
        poll_until(lambda: llm.requests, 30, "a request to the model")
        worker.kill()
        body = problem(answer.result(), 503, "no_worker")
    assert "ask_llm" in body["detail"]
    llm_bot.start_worker()
    assert llm_bot.completed(body["workflow_id"])["response"] == "from the model"


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM is no request on Windows")
def test_a_worker_asked_to_stop_finishes_what_it_does(llm_bot, llm, worker):
    held = llm.holding()
    llm.plan.append(held)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(llm_bot.post, "hi")
        poll_until(lambda: llm.requests, 30, "a request to the model")
        llm_bot.start_worker()
        worker.send(signal.SIGTERM)
        worker.wait_for("worker_stopping")
        held.hold.set()
        assert worker.wait() == 0
        assert answer.result().status_code == 200
    assert len(llm.requests) == 1  # the first attempt finished


def test_a_slow_model_is_waited_for(llm_bot, llm, worker):
    held = llm.holding()
    llm.plan.append(held)
    timer = threading.Timer(5, held.hold.set)  # longer than the soft wait and than the heartbeat timeout
    timer.start()
    response = llm_bot.post("hi")
    timer.join()
    assert response.status_code == 200, response.text
    assert len(llm.requests) == 1


@pytest.mark.parametrize(
    ("answers", "code", "said", "hits"),
    [
        ([Answer(401, {"error": {"message": "bad key sk-secret-key"}})], "activity_failed", "LLM_API_KEY", 1),
        ([Answer(200, b"<html>", {"Content-Type": "text/html"})], "activity_failed", "LLM_BASE_URL", 1),
        ([Answer(429, {"error": {"code": "insufficient_quota"}})], "activity_failed", "no credit", 1),
        ([Answer(429, {}, {"Retry-After": "1"}), Answer()], None, "from the model", 2),
        ([Answer(500, {}), Answer(503, {}), Answer()], None, "from the model", 3),
        ([Answer(500, {"error": {"message": "broken"}})] * 6, "activity_failed", "broken", 6),
    ],
    ids=["401", "html", "quota", "429", "500", "always-500"],
)
def test_failures_of_the_model(llm_bot, llm, worker, answers, code, said, hits):
    api = llm_bot.started[0]
    llm.plan.extend(answers)
    once = uuid.uuid4().hex
    response = llm_bot.post("private words", message_id=once)
    assert len(llm.requests) == hits
    assert said in response.text
    for text in (response.text, api.output(), worker.output()):
        assert "sk-secret-key" not in text
        assert "private words" not in text
    if code is None:
        assert response.status_code == 200
        return
    body = problem(response, 502, code)
    assert ("Retry-After" in response.headers) == (hits > 1)
    assert '"workflow_failed"' in api.output()
    state = llm_bot.workflow(body["workflow_id"])
    assert state["status"] == "failed"
    assert state["response"] is None
    assert state["error"] == {"code": code, "detail": body["detail"]}
    assert llm_bot.post("private words", message_id=once).status_code == 200  # a failed one may be sent again
    assert len(llm_bot.turns()) == 1


def test_the_run_time_out(tmp_path, temporal):
    with BotProcesses(tmp_path, temporal.port, WORKFLOW_RUN_TIMEOUT=1) as processes, processes.api_here() as bot:
        body = problem(bot.post(), 504, "workflow_timeout")
        state = bot.workflow(body["workflow_id"])
        assert state["status"] == "timed_out"
        assert state["error"]["code"] == "workflow_timeout"


def test_an_unknown_workflow(llm_bot):
    problem(llm_bot.http.get("/workflows/nobody"), 404, "not_found")
    problem(llm_bot.http.get("/workflows/" + "x" * 3000), 404, "not_found")
