"""OneBot v11: CQ codes and segments, message events, and what its API answers to a reply."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src import onebot
from src.chat import segments
from src.chat.content import Picture
from src.chat.onebot_events import read_message
from src.config import Settings
from src.intake.json_body import decode
from src.intake.problems import Problem
from src.messages import ReplyTarget
from src.send_errors import MaybeSentError, NotSentError
from tests.kit.machine import free_port
from tests.kit.stub_http import Answer, StubServer

NAMES = st.from_regex(r"[a-zA-Z0-9_.-]{1,8}", fullmatch=True)
DATA = st.dictionaries(NAMES, st.text(max_size=12), max_size=3)
SEGMENT = st.builds(lambda kind, data: {"type": f"x{kind}", "data": data}, NAMES, DATA)
TEXT = st.builds(lambda text: {"type": "text", "data": {"text": text}}, st.text(min_size=1, max_size=12))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


def event(kind="group", **more):
    body = {
        "time": 1795493979,
        "self_id": 30003,
        "post_type": "message",
        "message_type": kind,
        "sub_type": "normal",
        "message_id": -7,
        "user_id": 10001,
        "group_id": 20002,
        "message": [{"type": "at", "data": {"qq": "30003"}}, {"type": "text", "data": {"text": " hi"}}],
        "raw_message": "[CQ:at,qq=30003] hi",
        "font": 0,
        "sender": {"user_id": 10001, "nickname": "n"},
    }
    return body | more


def to_cq(parts):
    """As OneBot v11 writes them."""

    def escaped(text, *, in_code):
        text = text.replace("&", "&amp;").replace("[", "&#91;").replace("]", "&#93;")
        return text.replace(",", "&#44;") if in_code else text

    return "".join(
        escaped(part["data"]["text"], in_code=False)
        if part["type"] == "text"
        else f"[CQ:{part['type']}" + "".join(f",{k}={escaped(v, in_code=True)}" for k, v in part["data"].items()) + "]"
        for part in parts
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(SEGMENT | TEXT, max_size=4))
def test_cq_codes_say_the_same_as_segments(parts):
    merged: list[dict] = []
    for part in parts:
        if part["type"] != "text":
            merged.append(part)
        elif merged and merged[-1]["type"] == "text":
            merged[-1]["data"]["text"] += part["data"]["text"]  # one text, in CQ codes
        else:
            merged.append({"type": "text", "data": {**part["data"]}})
    assert segments.from_cq(to_cq(merged)) == merged


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="[]CQ:at,=&#;41903amp qq", max_size=40))
def test_no_text_is_too_odd(text):
    read = segments.read(text)
    assert isinstance(read.text(), str)


def test_what_only_looks_like_a_code_is_text():
    assert segments.read("[CQ:at,qq=1").text() == "[CQ:at,qq=1"
    assert segments.read("&#91;CQ:at,qq=1&#93; &amp;#91;").text() == "[CQ:at,qq=1] &#91;"
    assert segments.from_cq("") == []
    long = "[CQ:a" + "," * 90_000
    assert segments.read(long).text() == long


@pytest.mark.parametrize(
    "message",
    [
        "[CQ:a]" * 5001,
        [{}] * 5001,
        f"[CQ:a{',b=c' * 101}]",
        "x" * 100_001,
        [{"type": "text", "data": {"text": "x" * 50_001}}] * 2,
    ],
    ids=["codes", "segments", "data", "text", "texts"],
)
def test_more_than_a_message_may_have(message):
    with pytest.raises(Problem) as caught:
        segments.read(message)
    assert caught.value.code == "message_too_large"


def test_as_much_as_a_message_may_have():
    assert len(segments.read("[CQ:face,id=1]" * 5000).parts) == 5000
    assert segments.read("x" * 100_000).typed == "x" * 100_000


def test_segments_in_words():
    content = segments.read(
        "[CQ:reply,id=5][CQ:at,qq=30003] look[CQ:at,qq=7,name=Ann][CQ:at,qq=all][CQ:image,file=a.jpg,url=https://a/1?x&amp;y=&#44;]"
        "[CQ:image,file=base64://iVBO][CQ:image,file=https://a/2][CQ:record,file=x.amr][CQ:face,id=14][CQ:file,file=b.pdf]"
        "[CQ:json,data={}][CQ:newest,a=b]"
    )
    assert content.text(frozenset({"30003"})) == (
        "look@Ann @all [image][image][image][voice message][emoji: 14][file: b.pdf][card]"
    )
    assert content.mentions == {"30003", "7"}
    assert content.pictures == [Picture("https://a/1?x&y=,"), Picture("", "base64://iVBO"), Picture("https://a/2")]
    assert content.quoted_id == "5"
    assert content.skipped == ["newest"]


def read(body, self_id=""):
    return read_message(body, self_id)


def test_a_message():
    message = read(event())
    assert (message.self_id, message.user, message.group) == ("30003", "10001", "20002")
    assert message.content.text(frozenset({"30003"})) == "hi"
    assert read(event(message="[CQ:at,qq=30003] hi")).content.text() == "@30003  hi"
    assert read(event(message={"type": "text", "data": {"text": "hi"}})).content.text() == "hi"
    assert read(event("private")).group == ""
    assert read({key: value for key, value in event().items() if key != "self_id"}, "30003").self_id == "30003"
    anonymous = read(event(sub_type="anonymous", user_id=80000000, anonymous={"id": 5, "name": "x", "flag": "f"}))
    assert anonymous.user == "anonymous/5"
    assert read(event(sub_type="anonymous", anonymous=None)).user == "10001"


def test_ids_are_the_same_for_the_same_message_only():
    first = read(event()).message_id
    assert read(event(message="again")).message_id == first
    changes = [{"time": 5}, {"message_id": 8}, {"group_id": 9}, {"self_id": 4}, {"message_type": "private"}]
    assert len({first, *(read(event(**change)).message_id for change in changes)}) == 6
    assert read(event(message_id=None)).message_id == ""


@pytest.mark.parametrize(
    "body",
    [
        {"post_type": "meta_event", "meta_event_type": "heartbeat", "self_id": 1, "time": 1, "interval": 5000},
        {"post_type": "notice", "notice_type": "group_increase"},
        {"post_type": "request"},
        {"post_type": "message_sent", **{k: v for k, v in event().items() if k != "post_type"}},
        event(sub_type="notice"),
        event(user_id=30003),
        {},
    ],
    ids=str,
)
def test_what_nobody_said(body):
    assert read(body) is None


@pytest.mark.parametrize("change", [{"group_id": None}, {"user_id": None}, {"message": 5}, {"message_type": "guild"}])
def test_messages_that_are_none(change):
    with pytest.raises(Problem) as caught:
        read(event(**change))
    assert caught.value.code == "invalid_message"


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from([*event(), "anonymous"]), JSON, max_size=4), JSON)
def test_no_body_is_too_odd(change, other):
    for body in (event(**change), event("private", **change), other):
        try:
            read(decode(json.dumps(body).encode()))
        except Problem as problem:
            assert problem.code == "invalid_message"  # noqa: PT017 - not every body is refused


# --- sending ---------------------------------------------------------------------------------------------------------

GROUP = ReplyTarget("30003", "group", "20002", "onebot")
OK = Answer(body={"status": "ok", "retcode": 0, "data": {"message_id": 1}})


@pytest.fixture
def api():
    with StubServer() as stub:
        yield stub


def send(url, target=GROUP):
    asyncio.run(onebot.send(Settings(_env_file=None, onebot_api_url=url, onebot_access_token="t"), target, "[CQ:x] hi"))


def test_a_reply_is_sent_as_a_segment(api):
    api.default = OK
    send(api.url)
    send(api.url, ReplyTarget("30003", "person", "10001", "onebot"))
    message = [{"type": "text", "data": {"text": "[CQ:x] hi"}}]
    assert [(path, body) for path, _, body in api.requests] == [
        ("/send_group_msg", {"group_id": 20002, "message": message}),
        ("/send_private_msg", {"user_id": 10001, "message": message}),
    ]
    assert api.requests[0][1]["authorization"] == "Bearer t"


@pytest.mark.parametrize(
    ("answer", "error", "retryable"),
    [
        (Answer(401, {}), NotSentError, False),
        (Answer(404, {}), NotSentError, False),
        (Answer(429, {}, {"Retry-After": "7"}), NotSentError, True),
        (Answer(503, {}), NotSentError, True),
        (Answer(500, {}), MaybeSentError, None),
        (Answer(200, b"<html>"), MaybeSentError, None),
        (Answer(200, b"[" * 200_000), MaybeSentError, None),
        (Answer(200, {"status": "failed", "retcode": 100, "message": "risk control"}), NotSentError, False),
        (Answer(200, {"status": "failed", "retcode": 1404}), NotSentError, False),
        (Answer(200, {"status": "failed", "retcode": 1200, "message": "Timeout"}), MaybeSentError, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_onebot_says_of_a_reply(api, answer, error, retryable):
    api.default = answer
    with pytest.raises(error) as caught:
        send(api.url)
    assert getattr(caught.value, "retryable", None) is retryable
    assert getattr(caught.value, "retry_after", None) == (7 if answer.status == 429 else None)
    assert len(api.requests) == 1


def test_nobody_listens():
    with free_port() as port, pytest.raises(NotSentError) as caught:
        send(f"http://127.0.0.1:{port}")
    assert caught.value.retryable


def test_who_wrote_a_message(api):
    configured = Settings(_env_file=None, onebot_api_url=api.url)
    api.plan += [Answer(body={"retcode": 0, "data": {"sender": {"user_id": 30003}}}), Answer(body=[]), Answer(500, {})]
    assert [asyncio.run(onebot.sender_of(configured, "5")) for _ in range(3)] == ["30003", "", ""]
    assert api.requests[0][2] == {"message_id": 5}
