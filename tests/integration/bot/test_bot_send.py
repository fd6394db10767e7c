"""Replies to LangBot's events: each is in the chat once, or the result says why that is not sure."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from src.chat_text import CANNED_REPLY
from tests.kit.bot_processes import SIGSTOP, BotProcesses, TemporalServer, needs_sigstop
from tests.kit.langbot_api import UNLIMITED, LangBotApi, event
from tests.kit.machine import FreePort, free_port, poll_until
from tests.kit.runs import run_here
from tests.kit.stub_http import Answer, StubServer, completion

pytestmark = pytest.mark.xdist_group("bot-send")
AWAY = float(os.environ.get("MIKA_TEST_LANGBOT_AWAY", "0"))
"""Seconds for which LangBot is away after the message's own workflow has ended: 120 for must-see 2."""


def push(bot, *arguments, **options):
    """What the API answers to an event."""
    response = bot.http.post("/webhook/langbot", json=event(*arguments, **options))
    assert response.status_code == 200, response.text
    return response.json()


def taken(bot, *arguments, **options):
    """The id of the workflow that answers an event."""
    answer = push(bot, *arguments, **options)
    assert answer["skip_pipeline"] is True, answer
    return answer["workflow_id"]


def outcome(bot, workflow_id, timeout=60):
    """What the workflow's result says once nothing more will be sent."""

    def look():
        found = bot.workflow(workflow_id)
        is_known = found["status"] not in ("running", 503)  # a busy server may have no answer for the API
        return found if is_known and found.get("delivery") != "waiting" else None

    found = poll_until(look, timeout, f"the end of {workflow_id}", step=0.2)
    assert found["status"] == "completed", found
    return found


_READ_ONLY = """
import sys
from pathlib import Path
import src.workers.temporal_worker as worker
from src.history.base import HistoryError
from src.history.sqlite import SqliteHistory

save = SqliteHistory.save

async def refused(self, *args):
    if Path("read-only").exists():
        raise HistoryError("the store is read-only")
    await save(self, *args)

SqliteHistory.save = refused
sys.exit(worker.main())
"""


def start_worker(bot):
    worker = bot.start("worker", "-c", _READ_ONLY)
    worker.wait_for("worker_started")
    return worker


@pytest.fixture(scope="module")
def shared(tmp_path_factory, temporal):
    folder = tmp_path_factory.mktemp("sending")
    port = FreePort()
    with LangBotApi(port.number, folder / "chat.jsonl") as langbot, StubServer() as llm:
        settings = {
            "LLM_BASE_URL": f"{llm.url}/v1",
            "LANGBOT_API_BASE_URL": langbot.url,
            "LANGBOT_API_KEY": "lb-key",
            **UNLIMITED,
            "LANGBOT_SEND_PATIENCE": AWAY + 60,
            "LANGBOT_MAX_CHARS": 100,
            "WORKFLOW_TASK_TIMEOUT": 5,
        }
        with BotProcesses(folder, temporal.port, **settings) as bot:
            bot.start_api()
            start_worker(bot)
            yield bot, langbot, llm
    port.release()


@pytest.fixture
def langbot(shared):
    shared[1].reset()
    return shared[1]


@pytest.fixture
def llm(shared):
    shared[2].reset()
    return shared[2]


@pytest.fixture
def bot(shared, langbot, llm):
    """A bot with an API and one worker, with a model and a LangBot that both answer."""
    return shared[0]


def the_worker(bot):
    return next(one for one in bot.started if one.name == "worker" and one.popen.poll() is None)


def test_an_event_is_answered_once(bot, langbot):
    found = outcome(bot, taken(bot, message_id="m-1"))
    assert (found["response"], found["delivery"]) == ("from the model", "sent")
    assert taken(bot, message_id="m-1") == found["workflow_id"]  # pushed again: the same message
    outcome(bot, taken(bot, group=None))
    assert langbot.delivered() == [
        {"target_type": "group", "target_id": "20002", "text": "from the model"},
        {"target_type": "person", "target_id": "10001", "text": "from the model"},
    ]
    _, path, headers, _ = langbot.requests[0]
    assert path == "/api/v1/platform/bots/bot-1/send_message"
    assert headers["x-api-key"] == "lb-key"
    simple = bot.post().json()  # whose reply is in the answer, in both forms
    assert (simple["response"], simple["message"]) == ("from the model", [{"type": "Plain", "text": "from the model"}])


def test_two_apis_answer_the_same_message_once(bot, langbot, llm):
    """Nothing of it is kept in a process: the server knows the workflow, the store knows what was sent."""
    with bot.api_here() as second, ThreadPoolExecutor(4) as threads:

        def to_both(body):
            posted = [threads.submit(one.http.post, "/webhook/langbot", json=body) for one in (bot, second)]
            return [post.result().json() for post in posted]

        for number in range(3):
            answers = to_both(event(message_id=f"both-{number}"))
            assert [answer["skip_pipeline"] for answer in answers] == [True, True]
            (workflow_id,) = {answer["workflow_id"] for answer in answers}
            assert outcome(bot, workflow_id)["delivery"] == "sent"
            simple = {"user_id": "1", "message": "hello", "message_id": f"simple-{number}"}
            assert len({(answer["workflow_id"], answer["response"]) for answer in to_both(simple)}) == 1
    assert len(langbot.delivered()) == 3
    assert len(llm.requests) == 6


def test_an_event_is_taken_before_its_reply_is_there(bot, llm, langbot):
    held = llm.holding()
    llm.plan.append(held)
    workflow_id = taken(bot)
    assert bot.workflow(workflow_id)["status"] == "running"
    held.hold.set()
    assert outcome(bot, workflow_id)["delivery"] == "sent"


@pytest.mark.parametrize(
    ("answers", "requests", "delivered", "delivery", "said"),
    [
        (["401"], 1, 0, "refused", "LANGBOT_API_KEY"),
        (["429", "ok"], 2, 1, "sent", None),
        (["503", "503", "ok"], 3, 1, "sent", None),
        (["500!"], 1, 1, "maybe_sent", "500"),
        (["hang"], 1, 0, "maybe_sent", "did not arrive"),
    ],
    ids=lambda value: "-".join(value).replace("!", "-after") if isinstance(value, list) else "",
)
def test_only_what_surely_did_not_leave_is_sent_again(bot, langbot, answers, requests, delivered, delivery, said):
    """One of each kind. (`test_bot_answers.py` has every answer.)"""
    worker = the_worker(bot)
    langbot.plan.extend(answers)
    found = outcome(bot, taken(bot))
    assert found["delivery"] == delivery
    assert found["response"] == "from the model"
    assert said is None or said in found["detail"]
    assert len(langbot.requests) == requests
    assert len(langbot.texts()) == delivered
    event_name = {"sent": "reply_sent", "maybe_sent": "reply_maybe_sent", "refused": "reply_not_sent"}[delivery]
    lines = [json.loads(line) for line in worker.output().splitlines() if found["workflow_id"] in line]
    assert event_name in [line["event"] for line in lines]
    if answers[0] == "429":
        assert langbot.requests[1][0] - langbot.requests[0][0] >= 2  # as Retry-After says


def test_the_doctor_says_what_became_of_a_reply(bot, langbot):
    langbot.plan.append("401")
    workflow_id = outcome(bot, taken(bot))["workflow_id"]
    argv, env = ["-C", str(bot.folder), "doctor", "--workflow", workflow_id], bot.env | {"MIKA_BACKEND": "external"}
    _, told, _ = run_here(argv, cwd=bot.folder, env=env, stdin=b"", timeout=60)
    shown = told.decode()
    assert 'memo delivery: "refused"' in shown, shown
    assert "set LANGBOT_API_KEY" in shown
    assert "from the model" not in shown


@pytest.mark.timeout(120 + 2 * AWAY)
def test_langbot_is_away_and_comes_back(bot, langbot):
    worker = the_worker(bot)
    api = next(one for one in bot.started if one.name == "api" and one.popen.poll() is None)
    langbot.stop()
    workflow_id = taken(bot)

    def waits():
        found = bot.workflow(workflow_id)
        return found if found.get("delivery") == "waiting" else None

    found = poll_until(waits, 30, "a reply that waits for LangBot", step=0.2)
    assert found["status"] == "completed"
    assert "cannot be reached" in found["detail"]
    assert "reply_waiting" in worker.output()
    for process in (api, worker):  # a restart of everything but the server, which keeps its database
        process.kill()
    with ThreadPoolExecutor(1) as pool:
        started = pool.submit(start_worker, bot)
        bot.start_api()
        started.result()
    time.sleep(AWAY)
    assert langbot.texts() == []
    langbot.start()
    assert outcome(bot, workflow_id)["delivery"] == "sent"
    assert langbot.texts() == ["from the model"]


def test_langbot_does_not_come_back(bot, langbot):
    langbot.stop()
    with bot.api_here(LANGBOT_SEND_PATIENCE=3) as impatient:
        found = outcome(impatient, taken(impatient))
    assert found["delivery"] == "refused"
    assert "LANGBOT_SEND_PATIENCE" in found["detail"]
    assert "cannot be reached" in found["detail"]
    langbot.start()
    assert langbot.requests == []


def test_a_worker_that_is_killed_while_it_sends_does_not_send_again(bot, langbot):
    worker = the_worker(bot)
    langbot.plan.append("hang")
    workflow_id = taken(bot)
    poll_until(lambda: langbot.requests, 30, "a reply on its way")
    worker.kill()
    start_worker(bot)
    found = outcome(bot, workflow_id)
    assert found["delivery"] == "maybe_sent"
    assert "cut off" in found["detail"]
    assert len(langbot.requests) == 1


@needs_sigstop
def test_a_worker_that_stalls_while_it_sends_has_not_been_cut_off(bot, langbot):
    """As on a busy machine: with more than that, nothing is known of the reply, although it arrives."""
    worker = the_worker(bot)
    langbot.plan.append("late")
    workflow_id = taken(bot)
    poll_until(lambda: langbot.requests, 30, "a reply on its way")
    worker.send(SIGSTOP)
    time.sleep(3)
    worker.send(signal.SIGCONT)
    assert outcome(bot, workflow_id)["delivery"] == "sent"
    assert len(langbot.delivered()) == 1


def test_a_long_reply_comes_in_parts_each_of_them_once(bot, langbot, llm):
    llm.default = Answer(body=completion("\n\n".join(letter * 80 for letter in "abc")))
    langbot.plan.extend(["ok", "503", "500!", "ok"])
    found = outcome(bot, taken(bot))
    assert langbot.texts() == ["a" * 80, "b" * 80, "c" * 80]
    assert found["delivery"] == "maybe_sent"
    assert found["detail"].startswith("part 2 of 3: ")
    assert len(langbot.requests) == 4


def test_a_model_that_fails_for_good_is_answered_with_an_apology(bot, langbot, llm):
    llm.default = Answer(401, {"error": {"message": "no"}})
    found = outcome(bot, taken(bot))
    assert langbot.texts() == [CANNED_REPLY]
    assert (found["response"], found["delivery"]) == (CANNED_REPLY, "sent")
    assert "LLM_API_KEY" in found["detail"]
    assert bot.post().json()["code"] == "activity_failed"  # who waits for the answer gets the error
    assert CANNED_REPLY not in str(bot.turns())


def test_a_reply_does_not_wait_for_a_store_that_cannot_be_written(bot, langbot):
    lock = bot.folder / "read-only"
    before = len(bot.turns())
    lock.touch()
    workflow_id = taken(bot)
    poll_until(langbot.texts, 30, "the reply")
    assert len(bot.turns()) == before
    lock.unlink()
    found = outcome(bot, workflow_id)
    assert (found["delivery"], found.get("detail")) == ("sent", None)
    assert len(bot.turns()) == before + 1


@pytest.mark.parametrize("on_failure", ["pipeline", "apology"])
def test_what_was_not_taken(tmp_path, on_failure):
    with free_port() as temporal, free_port() as port, LangBotApi(port, tmp_path / "chat.jsonl") as langbot:
        settings = {"LANGBOT_API_BASE_URL": langbot.url, "LANGBOT_ON_FAILURE": on_failure}
        with BotProcesses(tmp_path, temporal, **settings) as processes, processes.api_here() as bot:
            for _ in range(2):
                answer = push(bot, message_id="m-1")
                assert answer["skip_pipeline"] is (on_failure == "apology")
            assert langbot.texts() == ([CANNED_REPLY] if on_failure == "apology" else [])
            by_n8n = bot.http.post("/webhook/n8n", json={"chatInput": "hi", "user_id": "person_10001"})
            for response in (bot.post(), by_n8n):
                assert response.status_code == 503
                body = response.json()
                assert body["code"] == "temporal_unavailable"
                assert body["response"] == CANNED_REPLY
                assert body["message"] == [{"type": "Plain", "text": CANNED_REPLY}]
            langbot.stop()
            assert push(bot)["skip_pipeline"] is False  # the apology cannot be sent: LangBot's own pipeline answers


@pytest.fixture(scope="module")
def other_temporal(tmp_path_factory):
    with TemporalServer(tmp_path_factory.mktemp("other"), in_memory=True) as server:
        yield server


@pytest.fixture
def frozen(other_temporal):
    """A server that may be frozen: the one of the other tests is theirs, too."""
    yield other_temporal
    other_temporal.process.send(signal.SIGCONT)


@needs_sigstop
@pytest.mark.parametrize("on_failure", ["pipeline", "apology"])
def test_an_event_is_answered_before_langbot_stops_waiting(tmp_path, frozen, on_failure):
    """LangBot accepts, and answers nothing; Temporal is frozen; and the bot has not been heard of before."""
    with socket.create_server(("127.0.0.1", 0)) as langbot:
        url = f"http://127.0.0.1:{langbot.getsockname()[1]}"
        settings = {"LANGBOT_API_BASE_URL": url, "LANGBOT_ON_FAILURE": on_failure, **UNLIMITED}
        with BotProcesses(tmp_path, frozen.port, **settings) as processes, processes.api_here() as bot:
            frozen.process.send(SIGSTOP)
            body = event()
            body["data"]["message"].append({"type": "At", "target": "30003"})
            began = time.monotonic()
            answer = bot.http.post("/webhook/langbot", json=body).json()
            assert time.monotonic() - began < 13
            assert answer["skip_pipeline"] is (on_failure == "apology")  # which is perhaps in the chat


@pytest.fixture(scope="module")
def shared_of_frozen(tmp_path_factory, other_temporal):
    folder = tmp_path_factory.mktemp("of-frozen")
    with (
        free_port() as port,
        LangBotApi(port, folder / "chat.jsonl") as langbot,
        BotProcesses(folder, other_temporal.port, LANGBOT_API_BASE_URL=langbot.url, **UNLIMITED) as bot,
    ):
        bot.start_api()
        bot.start_worker()
        yield bot, langbot


@pytest.fixture
def of_frozen(shared_of_frozen, frozen):
    """The bot of that server, and its LangBot."""
    bot, langbot = shared_of_frozen
    langbot.reset()
    return bot, langbot


@needs_sigstop
def test_what_was_left_to_the_pipeline_is_left_when_it_comes_again(of_frozen, frozen):
    bot, langbot = of_frozen
    frozen.process.send(SIGSTOP)
    first = push(bot, message_id="m-1")
    assert (first["skip_pipeline"], first["code"], first["workflow_id"]) == (False, "temporal_unavailable", None)
    frozen.process.send(signal.SIGCONT)
    outcome(bot, poll_until(lambda: push(bot)["workflow_id"], 30, "Temporal"))
    again = push(bot, message_id="m-1")
    assert (again["skip_pipeline"], again["code"]) == (False, "already_answered")
    assert len(langbot.texts()) == 1


@needs_sigstop
def test_mika_send_as_langbot_waits_while_temporal_is_frozen(of_frozen, frozen):
    bot, langbot = of_frozen
    frozen.process.send(SIGSTOP)
    command = [sys.executable, "-m", "mika", "-C", str(bot.folder), "send", "--as", "langbot", "hello"]
    sending = bot.run("mika", command, API_PORT=bot.http.base_url.port, MIKA_BACKEND="external")
    sending.wait_for("Waiting for it")
    time.sleep(2)
    frozen.process.send(signal.SIGCONT)
    assert sending.popen.wait(60) == 0, sending.output()
    assert "delivery: sent" in sending.output()
    assert len(langbot.texts()) == 1
