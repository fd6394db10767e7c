"""What LangBot pushes: both kinds of events, in the shapes of all its versions, and every component."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.chat import components
from src.chat.content import Picture
from src.chat.events import is_event, read_event
from src.chat.silence import Silence
from src.intake.json_body import decode
from src.intake.problems import Problem

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=6,
)
COMPONENTS = ["Source", "Plain", "At", "AtAll", "Image", "Voice", "File", "Face", "Quote", "Forward", "Unknown", "New"]
KEYS = ["id", "text", "target", "display", "url", "path", "base64", "length", "name", "face_id", "face_name", "origin"]
KEYS += ["sender_id", "node_list", "message_chain", "sender_name", "timestamp", "file_name"]


def component_of(inner):
    kind = st.sampled_from(COMPONENTS) | JSON
    rest = st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
    return st.builds(lambda kind, rest: {"type": kind, **rest}, kind, rest)


SIMPLE = component_of(JSON)
CHAIN = st.lists(SIMPLE | component_of(st.lists(SIMPLE, max_size=2)), max_size=3)

SOURCE = {"type": "Source", "id": 3, "timestamp": 1795493984}
SAID = [SOURCE, {"type": "At", "target": "30003", "display": ""}, {"type": "Plain", "text": "你"}]


def event(kind="group", **data):
    default = {
        "bot_uuid": "b",
        "adapter_name": "AiocqhttpAdapter",
        "group": {"id": "20002", "name": "Group 20002"},
        "sender": {"id": "10001", "name": ""},
        "message": [*SAID, {"type": "Plain", "text": "好"}],
        "timestamp": 1795493979.0,
    }
    return {"uuid": "u", "event_type": f"bot.{kind}_message", "data": {**default, **data}}


def test_a_group_event():
    read = read_event(event())
    assert (read.bot, read.user, read.group, read.is_group) == ("b", "10001", "20002", True)
    assert read.content.text(frozenset({"30003"})) == "你好"
    assert read.content.text() == "@30003 你好"
    assert read.content.typed == "你好"
    assert read.content.mentions == {"30003"}
    assert read.platform_id == "3"
    assert not read.content.skipped


def test_a_private_event():
    read = read_event(event("person", group=None))
    assert (read.user, read.group, read.is_group) == ("10001", "", False)
    assert read_event(event("person")).group == ""  # of no use there


@pytest.mark.parametrize(
    "data",
    [
        {"group": {"id": 20002}},
        {"group": "20002"},
        {"group": 20002},
        {"group": None, "group_id": "20002"},
        {"group": {}, "group_id": 20002},
        {"group": {"id": ""}, "group_id": " 20002 "},
        {"sender": 10001},
        {"sender": {"id": 10001}},
        {"sender": "10001"},
    ],
    ids=str,
)
def test_ids_and_groups_in_every_shape(data):
    read = read_event(event(**data))
    assert (read.user, read.group) == ("10001", "20002")


@pytest.mark.parametrize("data", [{"group": None}, {"group": {}}, {"group": "", "group_id": None}, {"group_id": ""}])
def test_a_group_is_never_guessed(data):
    silence = read_event(event(**{"group": None, **data}))
    assert isinstance(silence, Silence)
    assert silence.code == "group_unknown"
    assert "data.group" in silence.detail


def test_the_id_is_the_same_for_the_same_message_only():
    def id_of(kind="group", **data):
        return read_event(event(kind, **data)).message_id

    def source(**more):
        return [{**SOURCE, **more}, {"type": "Plain", "text": "hi"}]

    first = id_of()
    assert first
    assert id_of(message=source(timestamp=1795493999)) == first  # pushed again, received later
    assert id_of(timestamp=1795493979) == first
    others = [
        id_of(timestamp=1795499999.0),  # a counter that began anew
        id_of(bot_uuid="c"),
        id_of(group={"id": "20003"}),
        id_of("person"),
        id_of(message=source(id=4)),
        id_of(timestamp=None),
        id_of(timestamp=None, message=source(timestamp=1795493999)),
        id_of(timestamp=10**309, message=source(timestamp=-(10**309))),
    ]
    assert len({first, *others}) == 1 + len(others)
    assert id_of(message=[{"type": "Plain", "text": "hi"}]) == ""
    assert id_of(message=source(id=None)) == ""


@pytest.mark.parametrize("name", [".", "..", "../x", "a/..", "..\\x"])
def test_the_bot_has_no_id_that_leaves_its_place_in_a_path(name):
    with pytest.raises(Problem) as caught:
        read_event(event(bot_uuid=name))
    assert "data.bot_uuid" in caught.value.detail
    assert read_event(event(bot_uuid=f"x{name}x")).bot == f"x{name}x"


def content_of(*chain):
    return components.read(list(chain))


def test_every_component_in_words():
    origin = [{"type": "Source", "id": 1}, {"type": "Plain", "text": "before"}]
    nodes = [
        {"sender_id": 7, "sender_name": "Ann", "message_chain": [{"type": "Plain", "text": "one"}]},
        {"sender_id": 8, "message_chain": [{"type": "Image", "url": "https://a/2.png"}]},
        "not a node",
    ]
    content = content_of(
        {"type": "Quote", "id": 9, "sender_id": 30003, "origin": origin},
        {"type": "Plain", "text": "look "},
        {"type": "At", "target": 7, "display": "Ann"},
        {"type": "AtAll"},
        {"type": "Image", "url": "https://a/1.png", "base64": None, "path": "/etc/passwd"},
        {"type": "Voice", "length": 3},
        {"type": "File", "name": "a.pdf"},
        {"type": "File", "file_name": "b.pdf"},
        {"type": "Face", "face_id": 14, "face_name": "微笑"},
        {"type": "Forward", "node_list": nodes},
        {"type": "WeChatLink", "link_url": "x"},
        {"type": "Unknown", "text": "Unknown component type: poke"},
        "nothing",
    )
    assert content.text() == (
        "[in reply to: before]\nlook @Ann @all [image][voice message of 3 s][file: a.pdf][file: b.pdf][emoji: 微笑]"
        "[forwarded messages\nAnn: one\n8: [image]]"
    )
    assert content.typed == "look"
    assert content.quoted_sender == "30003"
    assert content.pictures == [Picture("https://a/1.png"), Picture("https://a/2.png")]
    assert content.skipped == ["WeChatLink", "Unknown component type: poke", "without a type"]


def test_other_events_are_no_messages():
    assert read_event({"event_type": "bot.joined", "data": {}}).code == "not_a_message"


@settings(max_examples=60, deadline=None)
@given(CHAIN)
def test_no_chain_of_components_is_too_odd(chain):
    content = components.read(chain)
    assert isinstance(content.text(frozenset({"1"})), str)
    json.dumps([content.text(), content.typed, content.skipped, sorted(content.mentions)]).encode()


@pytest.mark.parametrize(
    "message",
    [
        [{"type": "At", "target": "1"}] * 5001,
        [{"type": "Quote", "origin": [{}] * 2500}] * 2,
        [{"type": "Plain", "text": "x" * 50_001}] * 2,
        [{"type": "Quote", "origin": [{"type": "Plain", "text": "x" * 100_000}]}, {"type": "Plain", "text": "x"}],
    ],
    ids=["components", "in quotes", "text", "quoted text"],
)
def test_more_than_a_message_may_have(message):
    with pytest.raises(Problem) as caught:
        components.read(message)
    assert caught.value.code == "message_too_large"


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["bot.group_message", "bot.person_message", "x"]),
    JSON,
    st.dictionaries(
        st.sampled_from(["sender", "group", "group_id", "message", "bot_uuid", "timestamp"]), JSON | CHAIN, max_size=4
    ),
)
def test_no_event_is_too_odd(kind, uuid, data):
    _read_or_refuse({"event_type": kind, "uuid": uuid, "data": data})
    _read_or_refuse(event("person", **data) | {"event_type": kind, "uuid": uuid})


def _read_or_refuse(body):
    try:
        decoded = decode(json.dumps(body).encode())
        if is_event(decoded):
            read_event(decoded)
    except Problem as problem:
        assert problem.code == "invalid_message"  # noqa: PT017 - not every body is refused
        assert "\n" not in problem.detail  # noqa: PT017
