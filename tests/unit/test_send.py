"""`mika send` below its command: for what it waits, for what it does not, and what it says meanwhile."""

from __future__ import annotations

import os

import pytest
from mika.cli.main import run
from mika.config import load as config
from mika.errors import MikaError, NotRunningError, UsageError
from mika.stack import send as sending
from mika.stack.send import Reply
from mika.status import Phase

from tests.kit.machine import free_port
from tests.kit.sending import Api, Sent, process, stack

KEPT = {"code": "no_worker", "cause": "no_worker", "fix": "start it", "detail": "No worker.", "workflow_id": "w"}
RUNNING = {"workflow_id": "w", "status": "running", "response": None}
DONE = {"workflow_id": "w", "status": "completed", "response": "hello"}
ANSWERED = {"status": "ok", "success": True, "response": "hello", "workflow_id": "w"}


HEALTHY = stack(process("api"), process("worker"))
NO_STACK = NotRunningError("no stack is running in X", "start it: `mika up`")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "FIRST_PAUSE", 0.02)


# --- an answer --------------------------------------------------------------------------------------------------------


def test_a_reply(tmp_path):
    api = Api((200, ANSWERED))
    sent = Sent(tmp_path, api, NO_STACK)
    assert sent.reply == Reply("hello", "w")
    assert sent.said == []
    (path, body), *more = api.requests
    assert path == "POST /webhook/langbot"
    assert (body["user_id"], body["message"]) == ("ann", "hi")
    assert body["message_id"]
    assert "group_id" not in body
    assert more == []


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "LANGBOT_API_BASE_URL is not set, so the reply cannot reach a chat"),
        (
            "http://127.0.0.1:1",
            "LANGBOT_API_BASE_URL was not set when this API started, so the reply cannot reach a chat",
        ),
    ],
)
def test_a_reply_to_an_event_that_no_chat_can_get(tmp_path, url, why):
    env = {"LANGBOT_API_BASE_URL": url} if url else {}
    for api in (Api((200, {**ANSWERED, "skip_pipeline": False})), Api((503, KEPT), (200, DONE))):
        assert Sent(tmp_path, api, HEALTHY, bot="b", **env).reply == Reply("hello", "w", "none", why)


@pytest.mark.parametrize(
    ("delivery", "more", "code"),
    [
        ("", (), 0),
        ("sent", ("--as", "langbot"), 0),
        ("none", ("--as", "langbot"), 1),
        ("refused", ("--as", "langbot"), 1),
        ("maybe_sent", ("--as", "langbot"), 0),
        ("maybe_sent", ("--as", "langbot", "--bot", "b"), 1),
    ],
)
def test_the_exit_code_says_whether_a_chat_gets_the_reply(tmp_path, monkeypatch, delivery, more, code):
    monkeypatch.setattr("mika.cli.send.send", lambda _text, **_options: Reply("hello", "w", delivery))
    assert run(["-C", str(tmp_path), "send", "hi", *more]) == code


def test_an_empty_message(tmp_path):
    sent = Sent(tmp_path, None, NO_STACK, text=" ")
    assert isinstance(sent.error, UsageError)


def test_a_message_that_is_kept_is_sent_once_and_asked_for_ever_more_rarely(tmp_path, monkeypatch):
    monkeypatch.setattr(sending, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(sending, "LAST_PAUSE", 0.4)
    api = Api((503, KEPT), *[(200, RUNNING)] * 7, (200, DONE))
    sent = Sent(tmp_path, api, HEALTHY)
    assert sent.reply == Reply("hello", "w")
    assert [path.split()[0] for path, _ in api.requests] == ["POST"] + ["GET"] * 8
    assert api.requests[1][0] == "GET /workflows/w"
    pauses = [b - a for a, b in zip(api.times, api.times[1:], strict=False)]
    assert pauses[-1] >= 0.4
    assert pauses[0] < pauses[-1]
    assert sent.said == ["No worker. Waiting for it (up to 20 s)."]


def test_the_same_message_is_tried_again(tmp_path):
    """With its id, so that it is started once."""
    away = {"code": "temporal_unavailable", "detail": "Temporal is away."}
    api = Api((503, away), (503, away), None, (200, ANSWERED))
    sent = Sent(tmp_path, api, HEALTHY)
    assert sent.reply == Reply("hello", "w")
    assert len({body["message_id"] for _, body in api.requests}) == 1
    assert sent.said[0] == "Temporal is away. Waiting for it (up to 20 s)."
    assert len(sent.said) == 2, "the second is that it does not answer"


REFUSED = {"status": "ok", "success": False, "response": None, "code": "temporal_unavailable", "detail": "It is away."}


@pytest.mark.parametrize("workflow_id", [None, "w0"])
def test_an_event_that_was_not_taken_comes_again_as_a_new_one(tmp_path, workflow_id):
    """The bot has left the first one to LangBot's pipeline, and never answers it."""
    refused = {**REFUSED, "workflow_id": workflow_id, "skip_pipeline": False}
    taken = {"status": "ok", "success": True, "response": None, "workflow_id": "w", "skip_pipeline": True}
    again = {**refused, "code": "already_answered", "detail": "It was away."}
    api = Api((200, refused), (200, again), (200, taken), (200, {**DONE, "delivery": "sent"}))
    sent = Sent(tmp_path, api, HEALTHY, bot="b")
    assert sent.reply == Reply("hello", "w", "sent")
    *posts, (last, _) = api.requests
    assert last == "GET /workflows/w"
    assert len({body["data"]["message"][0]["id"] for _, body in posts}) == 3
    assert sent.said == [f"It {verb} away. Waiting for it (up to 20 s)." for verb in ("is", "was")]


def test_an_event_that_got_an_apology_is_not_sent_again(tmp_path):
    api = Api((200, {**REFUSED, "workflow_id": None, "skip_pipeline": True}))
    sent = Sent(tmp_path, api, HEALTHY, bot="b")
    assert (sent.error.code, sent.error.message) == ("temporal_unavailable", "the API answered: It is away.")
    assert len(api.requests) == 1


def test_an_api_that_is_at_work_is_told_apart_from_one_that_hangs(tmp_path, monkeypatch):
    monkeypatch.setattr(sending, "_REQUEST_TIMEOUT", 1.0)
    api = Api("silent", (200, {"status": "ok"}), (200, ANSWERED))
    sent = Sent(tmp_path, api, HEALTHY)
    assert sent.reply == Reply("hello", "w")
    assert [path for path, _ in api.requests][1:] == ["GET /healthz", "POST /webhook/langbot"]
    assert sent.said == ["No reply yet; waiting for it (up to 20 s)."]
    sent = Sent(tmp_path, Api("silent", (503, {}), (200, ANSWERED)), HEALTHY)
    assert sent.said == ["The API does not answer; waiting for it (up to 20 s)."]


def test_a_cause_that_shows_only_later_is_told_once(tmp_path):
    hanging = {**RUNNING, "cause": "activity_retrying", "fix": "look at the model"}
    api = Api(
        (503, KEPT), (200, {**RUNNING, "cause": "no_worker", "fix": "start it"}), *[(200, hanging)] * 3, (200, DONE)
    )
    sent = Sent(tmp_path, api, HEALTHY)
    assert sent.reply is not None
    assert sent.said[1:] == ["Still no reply (activity_retrying): look at the model; waiting (up to 20 s)."]


def test_time_is_up(tmp_path):
    api = Api((503, KEPT), (200, {**RUNNING, "cause": "no_worker", "fix": "start it"}))
    sent = Sent(tmp_path, api, HEALTHY, timeout=0.3)
    assert sent.error.code == "no_reply"
    assert "no reply within 0.3 s" in sent.error.message
    assert sent.error.hint.startswith("no_worker: start it; `mika doctor --workflow w`")


@pytest.mark.parametrize("cause", ["wrong_task_queue", "workflow_task_failing"])
def test_what_somebody_must_fix_is_not_waited_for(tmp_path, cause):
    stuck = {"cause": cause, "fix": "set it right"}
    for api in (Api((503, {**KEPT, **stuck})), Api((503, KEPT), (200, {**RUNNING, **stuck}))):
        sent = Sent(tmp_path, api, HEALTHY)
        assert sent.seconds < 15
        assert f"{cause}: set it right" in sent.error.hint


def test_a_workflow_that_failed(tmp_path):
    failed = {**RUNNING, "status": "timed_out", "error": {"code": "workflow_timeout", "detail": "too late"}}
    sent = Sent(tmp_path, Api((503, KEPT), (200, failed)), HEALTHY)
    assert (sent.error.code, sent.error.message) == ("timed_out", "the workflow timed out: too late")


def test_a_final_problem(tmp_path):
    sent = Sent(tmp_path, Api((422, {"code": "invalid_message", "detail": "too long"})), HEALTHY)
    assert (sent.error.code, sent.error.message) == ("invalid_message", "the API answered: too long")


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>"),
        (501, b"<html>"),
        (404, {"detail": "Not Found"}),
        (404, {"code": 404, "message": "no such route"}),
        (405, {"code": "METHOD_NOT_ALLOWED"}),
        (200, {"status": "ok"}),
        (200, {"status": "running"}),
        (200, {"status": "started", "workflow_id": "w"}),
        (200, {"response": ""}),
        (200, {"response": None, "error": "no"}),
        (200, b""),
    ],
)
def test_another_api_is_told_apart_from_an_answer(tmp_path, answer):
    """Never a reply without a text, and never asked twice."""
    api = Api(answer)
    sent = Sent(tmp_path, api, NO_STACK)
    assert sent.reply is None
    assert len(api.requests) == 1
    assert (sent.error.exit_code, sent.error.code) == (1, "no_webhook")
    assert f" answers {answer[0]} Words" in sent.error.message
    assert "to POST /webhook/langbot: this API does not speak the LangBot webhook" in sent.error.message
    assert "\n" not in sent.error.message
    if os.name != "nt":  # under Wine nobody knows whose a port is
        assert f"(pid {os.getpid()})" in sent.error.message
    assert "`mika doctor`" in sent.error.hint


def test_what_it_answered_is_shown(tmp_path):
    sent = Sent(tmp_path, Api((404, {"detail": "Not Found"})), NO_STACK)
    assert 'answers 404 Words ({"detail": "Not Found"}) to POST' in sent.error.message
    long = Sent(tmp_path, Api((400, b"x" * 500)), NO_STACK)
    assert f"({'x' * 80}…)" in long.error.message
    assert "(" not in Sent(tmp_path, Api((400, b"\x00\x01")), NO_STACK).error.message.partition(" to POST")[0]


def test_a_proxy_before_the_bot_that_fails(tmp_path):
    sent = Sent(tmp_path, Api((502, b"Bad Gateway")), NO_STACK)
    assert "answers 502 Words (Bad Gateway) to POST /webhook/langbot, not as the bot's API does" in sent.error.message


def test_an_empty_reply_of_the_bot_is_an_error(tmp_path):
    for api in (Api((200, {**ANSWERED, "response": ""})), Api((503, KEPT), (200, {**DONE, "response": ""}))):
        sent = Sent(tmp_path, api, HEALTHY)
        assert (sent.error.code, sent.error.message) == ("empty_reply", "the reply is empty")
        assert "`mika doctor --workflow w`" in sent.error.hint


# --- who could bring it back ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phase", "way_back"),
    [
        (
            Phase.STOPPED,
            "worker is stopped: `mika start worker`; then the message is answered, if within 60 s of its arrival",
        ),
        (
            Phase.EXITED,
            "worker has exited: `mika start worker`; then the message is answered, if within 60 s of its arrival",
        ),
        (Phase.GAVE_UP, "worker gave up: no module (`mika logs worker` says more); then `mika restart worker`"),
    ],
)
def test_a_worker_that_nothing_brings_back(tmp_path, phase, way_back):
    gone = stack(process("api"), process("worker", phase, reason="no module"))
    sent = Sent(tmp_path, Api((503, KEPT)), gone)
    assert sent.seconds < 15
    assert sent.error.code == "no_worker"
    assert sent.error.hint.startswith(way_back)


def test_a_worker_of_another_name(tmp_path):
    gone = stack(process("api"), process("hands", Phase.STOPPED, address="worker:queue"))
    assert "`mika start hands`" in Sent(tmp_path, Api((503, KEPT)), gone).error.hint


def test_one_of_several_workers_is_enough(tmp_path):
    two = stack(process("api"), process("worker", Phase.BACKOFF), process("worker", Phase.STOPPED))
    assert Sent(tmp_path, Api((503, KEPT), (200, DONE)), two).reply


def test_no_stack_and_nobody_listens(tmp_path):
    sent = Sent(tmp_path, None, NO_STACK)
    assert sent.error.exit_code == 3
    assert sent.error.message.startswith("no stack is running in X, and nothing answers at http://127.0.0.1:")
    assert sent.error.hint == "start it: `mika up`"


def test_no_stack_and_something_that_hangs_up(tmp_path):
    sent = Sent(tmp_path, Api(None), NO_STACK)
    assert sent.error.code == "api_unreachable"
    assert sent.seconds < 15


def test_a_stack_without_an_api(tmp_path):
    for units in ([process("worker", address="worker:q")], []):
        sent = Sent(tmp_path, None, stack(*units))
        assert sent.seconds < 15
        assert sent.error.code == "no_api"
        assert "the running stack has none at http://127.0.0.1:" in sent.error.message


def test_an_api_that_is_stopped(tmp_path):
    sent = Sent(tmp_path, None, stack(process("api", Phase.STOPPED)))
    assert (sent.error.code, sent.error.hint) == ("api_unreachable", "api is stopped: `mika start api`")


@pytest.mark.parametrize("status", [HEALTHY, MikaError("the stack is just starting", code="busy")])
def test_an_api_that_comes_back_is_waited_for(tmp_path, status):
    sent = Sent(tmp_path, None, status, timeout=0.5)
    assert sent.error.code == "api_unreachable"
    assert sent.said == ["The API does not answer; waiting for it (up to 0.5 s)."]


def test_an_api_of_another_name_is_waited_for(tmp_path):
    with free_port() as port:
        settings = config.load(tmp_path, environ={"API_PORT": str(port)})
        sender = sending._Sender(dict, settings, lambda: HEALTHY, 1.0, print)
    web = process("web", Phase.STARTING, address=f"{settings.api_url}/healthz")
    assert sender._units(stack(web), "api") == [web]
