"""More messages than the worker can take at once, and what is no sign of a worker."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from temporalio.client import Client

from tests.kit.bot_processes import BotProcesses
from tests.kit.machine import poll_until, takes_long

AT_ONCE = 10  # activities that this worker takes at once; the SDK's own limit is 100
NARROW = f"""
import functools, sys
import src.workers.temporal_worker as worker
worker.Worker = functools.partial(worker.Worker, max_concurrent_activities={AT_ONCE})
sys.exit(worker.main())
"""


def post_all(bot, count):
    async def main():
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=bot.http.base_url, timeout=110, limits=limits) as http:
            bodies = [{"user_id": str(number), "message": "hi"} for number in range(count)]
            return await asyncio.gather(*(http.post("/webhook/langbot", json=body) for body in bodies))

    return asyncio.run(main())


@takes_long
@pytest.mark.alone
def test_a_message_waits_for_its_turn_while_a_worker_is_busy(idle_bot, llm):
    """The worker's places are all taken by a slow model: it asks for nothing more, but it lives."""
    held = llm.default = llm.holding()
    busy = idle_bot.start("worker", "-c", NARROW)
    busy.wait_for("worker_started")
    with ThreadPoolExecutor(1) as thread:
        posted = thread.submit(post_all, idle_bot, AT_ONCE + 15)
        try:
            poll_until(lambda: len(llm.requests) >= AT_ONCE, 45, "a full worker")
            time.sleep(5)  # longer than a message without a worker would wait
            assert len(llm.requests) == AT_ONCE
        finally:
            held.hold.set()
        answers = posted.result()
    assert {answer.status_code for answer in answers} == {200}, [a.text for a in answers if a.status_code != 200]


# Each answer takes a second, and four are made at once: four messages a second, whatever the machine.
SLOW = """
import asyncio, functools, sys
import src.llm
import src.workers.temporal_worker as worker

async def answer(self, message, history, **_):
    await asyncio.sleep(1)
    return message

src.llm.OfflineLlm.answer = answer
worker.Worker = functools.partial(worker.Worker, max_concurrent_activities=4)
sys.exit(worker.main())
"""


@takes_long
@pytest.mark.alone
def test_what_cannot_be_answered_in_time_is_told_so_and_the_rest_is_answered(tmp_path, temporal):
    with BotProcesses(tmp_path, temporal.port, WORKFLOW_RUN_TIMEOUT=15) as bot:
        bot.start_api()
        bot.start("worker", "-c", SLOW).wait_for("worker_started")
        assert bot.post().status_code == 200
        answers = post_all(bot, 60)
        busy = [answer for answer in answers if answer.status_code == 429]
        assert {answer.status_code for answer in answers} == {200, 429}, {a.text for a in answers if a.is_server_error}
        assert {answer.json()["code"] for answer in busy} == {"busy"}
        assert all(1 <= int(answer.headers["Retry-After"]) <= 60 for answer in busy)
        assert "workflow_id" not in busy[0].json(), "it was not accepted"
        assert len(answers) - len(busy) >= 25
        poll_until(lambda: bot.post().status_code == 200, 60, "an answer after the burst")


@takes_long
@pytest.mark.alone
def test_a_reply_of_long_ago_is_no_sign_of_a_worker(tmp_path, temporal):
    with BotProcesses(tmp_path, temporal.port, WORKFLOW_RUN_TIMEOUT=30) as bot:
        bot.start_api()
        worker = bot.start_worker()
        assert bot.post(message_id="long ago").status_code == 200
        worker.kill()
        over = threading.Event()

        def ask_again():
            while not over.wait(0.5):
                assert bot.post(message_id="long ago").status_code == 200

        asking = threading.Thread(target=ask_again)
        asking.start()
        try:
            response = bot.post(message_id="now")
        finally:
            over.set()
            asking.join()
        assert response.json().get("code") == "no_worker", response.text


@takes_long
def test_limits_of_steps_fit_into_the_run(llm_bot, worker):
    async def history(workflow_id):
        client = await Client.connect(f"127.0.0.1:{llm_bot.temporal_port}")
        return [event async for event in client.get_workflow_handle(workflow_id).fetch_history_events()]

    run_timeout = 60
    events = asyncio.run(history(llm_bot.post().json()["workflow_id"]))
    begun = events[0].workflow_execution_started_event_attributes
    assert begun.workflow_run_timeout.ToSeconds() == run_timeout
    begin = events[0].event_time.ToNanoseconds() / 1e9
    steps = [event for event in events if event.HasField("activity_task_scheduled_event_attributes")]
    assert len(steps) == 1  # the others are local: part of a workflow task
    for event in steps:
        step = event.activity_task_scheduled_event_attributes
        left = begin + run_timeout - event.event_time.ToNanoseconds() / 1e9
        total, attempt = (
            span.ToNanoseconds() / 1e9 for span in (step.schedule_to_close_timeout, step.start_to_close_timeout)
        )
        assert 0 < attempt <= total < left
