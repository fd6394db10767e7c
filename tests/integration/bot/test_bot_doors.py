"""Through every door into the real stack: LangBot's events, the n8n runner, OneBot; and why a message got no reply."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Iterator

import jwt
import pytest
from mika.cli import main

from src.chat_text import CANNED_REPLY
from tests.kit.bot_processes import BotProcesses, TemporalServer
from tests.kit.machine import poll_until
from tests.kit.stub_http import Answer, StubServer

pytestmark = pytest.mark.xdist_group("doors")

SELF, USER, GROUP = "30003", "1000112345", "20002"
JWT_KEY = "a key of at least thirty-two bytes"
ONEBOT_KEY = "the token of NapCat"


class Chat:
    """What stands beyond the bot: one stub is LangBot's API and OneBot's. And a bot with a model that sees images."""

    def __init__(self, bot: BotProcesses, model: StubServer, outside: StubServer) -> None:
        self.bot, self.model, self.outside = bot, model, outside

    def event(self, *message, kind="group", **data):
        source = {"type": "Source", "id": uuid.uuid4().int % 2**31, "timestamp": int(time.time())}
        given = {
            "bot_uuid": "b1",
            "adapter_name": "AiocqhttpAdapter",
            "sender": {"id": USER, "name": ""},
            "message": [source, *message],
            "timestamp": time.time(),
        }
        if kind == "group":
            given["group"] = {"id": GROUP, "name": "g"}
        return {"uuid": str(uuid.uuid4()), "event_type": f"bot.{kind}_message", "data": given | data}

    def push(self, body, path="/webhook/langbot"):
        answer = self.bot.http.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def sent(self, count=1):
        """(path, body) of what was sent to the chat."""
        poll_until(lambda: len(self.outside.requests) >= count, 30, f"{count} replies")
        return [(path, body) for path, _, body in self.outside.requests]

    def asked(self, count=1):
        poll_until(lambda: len(self.model.requests) >= count, 30, f"{count} questions")
        return self.model.requests[-1][2]["messages"][-1]["content"]

    def onebot(self, message, kind="group", key=ONEBOT_KEY, **more):
        event = {
            "time": int(time.time()),
            "self_id": int(SELF),
            "post_type": "message",
            "message_type": kind,
            "message_id": uuid.uuid4().int % 2**31,
            "user_id": int(USER),
            "message": message,
            **({"group_id": int(GROUP)} if kind == "group" else {}),
            **more,
        }
        return self.post_onebot(json.dumps(event, ensure_ascii=False).encode(), key)

    def post_onebot(self, raw, key=ONEBOT_KEY):
        signature = f"sha1={hmac.new(key.encode(), raw, hashlib.sha1).hexdigest()}"
        headers = {"Content-Type": "application/json", "X-Signature": signature, "X-Self-ID": SELF}
        return self.bot.http.post("/onebot", content=raw, headers=headers)

    def silent(self, **query):
        answer = self.bot.http.get("/silent", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()["found"]


def plain(text):
    return {"type": "Plain", "text": text}


@pytest.fixture(scope="module")
def _outside() -> Iterator[tuple[StubServer, StubServer]]:
    with StubServer() as model, StubServer() as outside:
        yield model, outside


@pytest.fixture(scope="module")
def _bot(tmp_path_factory, temporal: TemporalServer, _outside) -> Iterator[BotProcesses]:
    model, outside = _outside
    settings = {
        "LLM_BASE_URL": f"{model.url}/v1",
        "LANGBOT_API_BASE_URL": outside.url,
        "ONEBOT_SECRET": ONEBOT_KEY,
        "BOT_IDS": SELF,
        "N8N_AUTH": "jwt",
        "N8N_JWT_SECRET": JWT_KEY,
    }
    with BotProcesses(tmp_path_factory.mktemp("doors"), temporal.port, **settings) as bot:
        bot.start_api()
        bot.start_worker(**_there(outside))
        yield bot


def _there(outside: StubServer) -> dict[str, str]:
    """Where OneBot listens. The worker sends there only what an API with these settings has taken."""
    return {"ONEBOT_API_URL": outside.url, "ONEBOT_ACCESS_TOKEN": "a token"}


@pytest.fixture
def chat(_bot: BotProcesses, _outside) -> Chat:
    model, outside = _outside
    model.reset()
    outside.reset()
    outside.default = Answer(body={"code": 0, "msg": "ok", "data": {"sent": True}, "status": "ok", "retcode": 0})
    return Chat(_bot, model, outside)


@pytest.mark.parametrize("path", ["/webhook", "/webhook/langbot"])
def test_a_group_that_is_named_only_by_its_id(chat, path):
    body = chat.event(plain(f"mika, {uuid.uuid4()}"), group=None, group_id=int(GROUP))
    assert chat.push(body, path)["skip_pipeline"] is True
    ((_, sent),) = chat.sent()
    assert (sent["target_type"], sent["target_id"]) == ("group", GROUP)


def test_a_group_is_never_guessed(chat):
    answer = chat.push(chat.event(plain("mika"), group=None))
    assert answer["skip_pipeline"] is False
    assert answer["reason"] == "group_unknown"
    assert not chat.model.requests


def test_an_image_of_10_mb_without_a_text(chat):
    png = b"\x89PNG\r\n\x1a\n" + bytes(10 * 1024 * 1024 - 8)
    text = base64.b64encode(png).decode()
    image = {"type": "Image", "url": "https://qq/expires", "base64": f"data:image/png;base64,{text}"}
    body = chat.event(image, kind="person")
    answer = chat.push(body)
    assert answer["skip_pipeline"] is True
    asked = chat.asked()
    assert asked[0] == {"type": "text", "text": "[image]"}
    assert asked[1]["image_url"]["url"] == f"data:image/png;base64,{text}"
    chat.sent()
    database = sum(path.stat().st_size for path in chat.bot.folder.parent.rglob("temporal.db*"))
    assert database < 10 * 1024 * 1024  # what Temporal holds is a reference
    (file,) = (chat.bot.folder / ".mika" / "data" / "images").iterdir()
    assert file.read_bytes() == png


def test_a_counter_that_begins_anew_gets_no_old_answer(chat):
    body = chat.event(kind="person")
    for text, at in (("first", 1000.0), ("second", 2000.0)):
        body["data"] |= {"message": [{"type": "Source", "id": 1, "timestamp": 5}, plain(text)], "timestamp": at}
        chat.push(body)
    poll_until(lambda: len(chat.outside.requests) == 2, 30, "both replies")
    chat.push(body)  # pushed again: the same message
    time.sleep(0.5)
    assert len(chat.model.requests) == 2


def test_who_is_not_called_says_why(chat):
    text = f"nothing for a bot {uuid.uuid4()}"
    body = chat.event(plain(text))
    answer = chat.push(body)
    assert (answer["success"], answer["skip_pipeline"], answer["reason"]) == (False, False, "not_called")
    (found,) = chat.silent(text=text)
    assert found["reason"] == "not_called"
    assert found["fix"]
    assert chat.silent(id=body["uuid"]) == chat.silent(id=str(body["data"]["message"][0]["id"])) == [found]
    log = chat.bot.started[0].output()
    assert '"message_not_answered"' in log
    assert text not in log
    assert not chat.model.requests
    at_me = {"type": "At", "target": int(SELF), "display": ""}
    taken = chat.push(chat.event(at_me, plain(text)))
    assert taken["skip_pipeline"] is True
    assert chat.asked() == text
    newest = chat.silent(text=text)[0]
    assert (newest["taken"], newest["workflow_id"]) == (True, taken["workflow_id"])
    chat.sent()
    assert chat.bot.http.get("/silent").status_code == 422


def test_the_command_says_why(chat, tmp_path, monkeypatch, capsys):
    text = f"just talking {uuid.uuid4()}"
    chat.push(chat.event(plain(text)))
    taken = chat.push(chat.event(plain(f"mika, {text}")))
    chat.sent()
    chat.bot.completed(taken["workflow_id"])
    (tmp_path / "Procfile").write_text("web: serve\n", encoding="utf-8")
    monkeypatch.setenv("API_PORT", str(chat.bot.http.base_url.port))
    assert main.run(["-C", str(tmp_path), "why-silent", text]) == 0
    assert "not answered (not_called)" in capsys.readouterr().out
    assert main.run(["-C", str(tmp_path), "why-silent", f"mika, {text}"]) == 0
    assert f"taken: its workflow {taken['workflow_id']} is completed (delivery sent)" in capsys.readouterr().out
    assert main.run(["-C", str(tmp_path), "why-silent", "never said"]) == 1


def test_what_is_said_twice_is_answered_once(chat):
    text = f"mika {uuid.uuid4()}"
    assert chat.push(chat.event(plain(text)))["skip_pipeline"] is True
    assert chat.push(chat.event(plain(text)))["reason"] == "duplicate"
    chat.sent()


def n8n_body(**more):
    return {
        "chatInput": f"hi {uuid.uuid4()}",
        "user_id": f"group_{GROUP}",
        "session_id": f"group_{GROUP}",
        "launcher_type": "group",
        "launcher_id": int(GROUP),
        "sender_id": uuid.uuid4().int % 2**31,
        **more,
    }


def n8n_login(key=JWT_KEY):
    now = int(time.time())
    token = jwt.encode({"exp": now + 3600, "iat": now, "sub": "n8n-webhook"}, key, algorithm="HS256")
    return {"Authorization": f"Bearer {token}"}


def test_the_n8n_runner(chat):
    first = n8n_body()
    stream = chat.bot.http.post("/webhook/n8n", json=first, headers=n8n_login())
    assert stream.status_code == 200, stream.text
    item, end = map(json.loads, stream.text.splitlines())
    assert item == {"type": "item", "content": "from the model"}
    assert end["type"] == "end"
    one = chat.bot.http.post("/webhook/n8n?format=json", json=n8n_body(), headers=n8n_login())
    assert one.json()["response"] == "from the model"
    assert "type" not in one.json()
    assert len(chat.model.requests[-1][2]["messages"]) == 2  # another speaker: nothing before
    chat.bot.http.post("/webhook/n8n", json=first, headers=n8n_login())
    assert len(chat.model.requests[-1][2]["messages"]) == 4  # the same one
    assert not chat.outside.requests


def test_a_wrong_login_of_n8n_is_refused(chat):
    for headers in ({}, n8n_login(JWT_KEY + "x"), {"Authorization": "Bearer x"}):
        answer = chat.bot.http.post("/webhook/n8n", json=n8n_body(), headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert JWT_KEY not in answer.text


def test_onebot_gets_the_reply_as_a_quick_one(chat):
    answer = chat.onebot(f"[CQ:at,qq={SELF}] 你好 &#91;1&#93;")
    assert answer.status_code == 200, answer.text
    assert answer.json()["reply"] == [{"type": "text", "data": {"text": "from the model"}}]
    assert answer.json()["at_sender"] is False
    assert chat.asked() == "你好 [1]"
    private = chat.onebot([{"type": "text", "data": {"text": "hi"}}], "private")
    assert private.json()["reply"]
    assert not chat.outside.requests


def test_a_model_that_fails_is_answered_over_onebot_too(chat):
    chat.model.default = Answer(401, {})
    answer = chat.onebot("hi", "private")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["code"]) == ("failed", "activity_failed")
    assert answer.json()["reply"] == [{"type": "text", "data": {"text": CANNED_REPLY}}]


def test_what_is_nothing_to_onebot(chat):
    beat = {"post_type": "meta_event", "meta_event_type": "heartbeat", "self_id": int(SELF), "time": 1}
    assert chat.post_onebot(json.dumps(beat).encode()).status_code == 204
    assert chat.onebot("hi", "private", user_id=int(SELF)).status_code == 204
    assert chat.onebot("hi", sub_type="notice").status_code == 204
    assert chat.onebot("not for the bot").status_code == 204
    assert chat.silent(text="not for the bot")[0]["door"] == "onebot"
    assert not chat.model.requests


def test_a_wrong_signature_of_onebot_is_refused(chat):
    assert chat.onebot("mika", key="another").status_code == 401
    assert chat.bot.http.post("/onebot", json={"post_type": "meta_event"}).status_code == 401


def test_onebot_with_an_address_gets_the_reply_there(chat):
    with chat.bot.api_here(**_there(chat.outside)) as bot:
        there = Chat(bot, chat.model, chat.outside)
        answer = there.onebot("mika, hi")
        assert answer.status_code == 200, answer.text
        assert "reply" not in answer.json()
        ((path, body),) = there.sent()
        assert (path, body["group_id"]) == ("/send_group_msg", int(GROUP))
        assert body["message"] == [{"type": "text", "data": {"text": "from the model"}}]
        assert chat.outside.requests[0][1]["authorization"] == "Bearer a token"
        ended = bot.completed(answer.json()["workflow_id"])
        assert ended["delivery"] == "sent"
        # A reply to what the bot said: OneBot is asked whose message that was.
        mine = Answer(body={"status": "ok", "retcode": 0, "data": {"sender": {"user_id": int(SELF)}}})
        chat.outside.plan.append(mine)
        assert there.onebot("[CQ:reply,id=5]and then?").status_code == 200
        assert [path for path, _ in there.sent(3)[1:]] == ["/get_msg", "/send_group_msg"]
        chat.outside.plan.append(Answer(body={"retcode": 0, "data": {"sender": {"user_id": 7}}}))
        assert there.onebot("[CQ:reply,id=6]you too").status_code == 204


def test_any_json_gets_a_documented_answer(chat):
    raw = [b"null", b"[]", b"5", b'"x"', b"{}", b"[" * 5000, b'{"event_type": "bot.group_message", "data": 5}', b"\xff"]
    raw.append(b'{"post_type": "message", "message_type": {}, "user_id": [], "message": null}')
    raw.append(b'{"user_id": "\\ud800", "message": " \\udfff"}')
    for body in raw:
        assert chat.post_onebot(body).status_code in {204, 422}
        for path in ("/webhook", "/webhook/langbot", "/webhook/n8n"):
            headers = {"Content-Type": "application/json", **n8n_login()}
            answer = chat.bot.http.post(path, content=body, headers=headers)
            assert answer.status_code in {200, 422}, (path, body)
