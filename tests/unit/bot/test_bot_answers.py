"""What each answer of LangBot's says of a message: whether it is in the chat, and what would help."""

from __future__ import annotations

import asyncio

import pytest

from src.config import Settings
from src.langbot import send
from src.messages import ReplyTarget
from src.send_errors import MaybeSentError, NotSentError
from tests.kit.langbot_api import LangBotApi
from tests.kit.machine import free_port


@pytest.mark.parametrize(
    ("answer", "delivered", "error", "said"),
    [
        ("400", 0, NotSentError, "400"),
        ("401", 0, NotSentError, "LANGBOT_API_KEY"),
        ("403", 0, NotSentError, "LANGBOT_API_KEY"),
        ("404", 0, NotSentError, "LANGBOT_API_BASE_URL"),
        ("301", 0, NotSentError, "redirects"),
        ("500!", 1, MaybeSentError, "500"),
        ("500", 0, MaybeSentError, "500"),
        ("502", 0, MaybeSentError, "502"),
        ("cut", 1, MaybeSentError, "did not arrive"),
        ("html", 0, MaybeSentError, "not LangBot's own answer"),
        ("201", 0, MaybeSentError, "not LangBot's own answer"),
    ],
)
def test_an_answer_that_is_the_last(tmp_path, answer, delivered, error, said):
    with free_port() as port, LangBotApi(port, tmp_path / "chat.jsonl") as langbot:
        langbot.plan.append(answer)
        settings = Settings(_env_file=None, langbot_api_base_url=langbot.url, langbot_api_key="lb-key")
        with pytest.raises(error, match=said) as caught:
            asyncio.run(send(settings, ReplyTarget("bot-1", "person", "10001"), "hello"))
        assert not getattr(caught.value, "retryable", False)
        assert len(langbot.requests) == 1
        assert len(langbot.texts()) == delivered


@pytest.mark.parametrize(("answer", "wait"), [("429", 2), ("503", None)])
def test_a_busy_langbot_is_asked_again(tmp_path, answer, wait):
    with free_port() as port, LangBotApi(port, tmp_path / "chat.jsonl") as langbot:
        langbot.plan.append(answer)
        settings = Settings(_env_file=None, langbot_api_base_url=langbot.url)
        with pytest.raises(NotSentError) as caught:
            asyncio.run(send(settings, ReplyTarget("bot-1", "person", "10001"), "hello"))
        assert (caught.value.retryable, caught.value.retry_after) == (True, wait)
