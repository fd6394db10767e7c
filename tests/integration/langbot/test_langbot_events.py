"""Events that the real classes of each LangBot push, and the replies that they would bring to QQ."""

from __future__ import annotations

import pytest

from tests.integration.langbot.conftest import Chat
from tests.kit.langbot.client import SELF_ID, onebot_message
from tests.kit.machine import poll_until
from tests.kit.stub_http import Answer, completion

pytestmark = pytest.mark.xdist_group("langbot")

GROUP = 20002
AT = {"type": "at", "data": {"qq": str(SELF_ID)}}


def adapters(chat: Chat) -> tuple[str, ...]:
    return ("aiocqhttp", "onebot-v11") if chat.langbot.version.startswith("4.11") else ("aiocqhttp",)


def test_private_message(chat: Chat) -> None:
    for adapter in adapters(chat):
        chat.api.requests.clear()

        assert chat.says("你好", adapter=adapter)["skip_pipeline"] is True

        path, body = chat.reply()
        assert path == "/api/v1/platform/bots/6e47a1b2-0000-4000-8000-000000000001/send_message"
        assert body["target_type"] == "person"
        assert int(body["target_id"]) > 10_000
        assert chat.delivered() == [{"type": "text", "data": {"text": "from the model"}}]
        assert chat.asked() == "你好"


def test_group_message(chat: Chat) -> None:
    for adapter in adapters(chat):
        chat.api.requests.clear()

        assert chat.says(AT, f" Mika, hello from {adapter}", group=GROUP, adapter=adapter)["skip_pipeline"] is True

        _, body = chat.reply()
        assert (body["target_type"], body["target_id"]) == ("group", str(GROUP))
        assert f"hello from {adapter}" in chat.asked()


def test_components_beside_the_text(chat: Chat) -> None:
    quote = {"type": "reply", "data": {"id": "7"}}
    face = {"type": "face", "data": {"id": "14", "raw": {"faceText": "/smile"}}}

    said = chat.says(quote, AT, " Mika, ", face, "what was that?", group=GROUP)

    assert said["components"] == ["Source", "Quote", "At", "Plain", "Face", "Plain"]
    assert said["skip_pipeline"] is True
    assert chat.delivered() == [{"type": "text", "data": {"text": "from the model"}}]
    assert "Mika, " in chat.asked()
    assert "what was that?" in chat.asked()


@pytest.mark.parametrize("group", [None, GROUP])
def test_components_that_the_bot_does_not_read(chat: Chat, group: int | None) -> None:
    said = chat.says_chain(
        {"type": "Unknown", "text": "a card"},
        {"type": "Voice", "url": "http://127.0.0.1/v"},
        {"type": "AtAll"},
        {"type": "Forward", "node_list": []},
        {"type": "Plain", "text": f"Mika, hello to {group}"},
        group=group,
    )

    assert said["skip_pipeline"] is True
    assert chat.reply()[1]["target_type"] == ("group" if group else "person")
    assert f"hello to {group}" in chat.asked()


def test_image_beside_the_text(chat: Chat) -> None:
    said = chat.says({"type": "image", "data": {"url": chat.images}}, "what is this?")

    assert said["components"] == ["Source", "Image", "Plain"]
    assert said["skip_pipeline"] is True
    assert chat.delivered() == [{"type": "text", "data": {"text": "from the model"}}]


def test_same_message_twice_is_answered_once(chat: Chat) -> None:
    number = chat.number()
    for _ in range(2):
        assert chat.says("hello", number=number)["skip_pipeline"] is True
    chat.says("the next one")

    poll_until(lambda: len(chat.replies()) >= 2, 30, "both replies")
    assert len(chat.model.requests) == 2


def test_reply_that_looks_like_markup(chat: Chat) -> None:
    chat.model.default = Answer(200, completion("第一行 & x<y\n[CQ:at,qq=all]"))

    chat.says("hello")

    (segment,) = chat.delivered()
    assert segment["type"] == "text"
    assert "第一行 & x<y" in segment["data"]["text"]


@pytest.mark.parametrize("secret", ["", "?secret=wrong"])
def test_refused_event_is_left_to_langbot(chat: Chat, secret: str) -> None:
    message = onebot_message("hello", message_id=2)

    said = chat.langbot.push(chat.webhook.partition("?")[0] + secret, onebot=message)

    assert said["skip_pipeline"] is False
    assert any("401" in line for line in said["log"])
    assert not chat.model.requests


def test_event_without_content_is_left_to_langbot(chat: Chat) -> None:
    assert chat.says({"type": "marketface", "data": {}})["skip_pipeline"] is False
