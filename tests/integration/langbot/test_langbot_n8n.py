"""The n8n runner of LangBot up to 4.10; later it is a plugin, which is not on the package index."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.langbot.conftest import Chat
from tests.kit.bot_processes import BotProcesses
from tests.kit.langbot.environments import VERSIONS
from tests.kit.stub_http import StubServer

pytestmark = [
    pytest.mark.xdist_group("langbot"),
    pytest.mark.parametrize("langbot", [v for v in VERSIONS if not v.startswith("4.11")], indirect=True),
]

LOGINS = {
    "basic": {"basic-username": "me", "basic-password": "pw"},
    "header": {"header-name": "X-Mine", "header-value": "v1"},
    "jwt": {"jwt-secret": "0123456789abcdef0123456789abcdef", "jwt-algorithm": "HS256"},
}
WRONG = {
    "basic": {"basic-password": "other"},
    "header": {"header-value": "other"},
    "jwt": {"jwt-secret": "another-secret-of-thirty-two-bytes"},
}


@pytest.mark.parametrize("stream", [False, True])
def test_reply_in_the_chat(chat: Chat, stream: bool) -> None:
    answered = chat.langbot.n8n(chat.url("/webhook/n8n"), "你好", stream=stream)

    assert answered["messages"][-1] == "from the model"
    assert "" not in answered["messages"]
    assert len(answered["messages"]) == 1
    assert chat.asked() == "你好"
    assert not chat.replies()  # the runner sends it itself


def test_a_group_is_not_the_speaker(chat: Chat) -> None:
    url, group = chat.url("/webhook/n8n"), ("group", 20002)
    for user in (1, 2):
        chat.langbot.n8n(url, f"I am {user}", chat=group, variables={"sender_id": user})

    # The model hears nothing of what the first one said.
    assert "I am 1" not in str(chat.model.requests[-1][2]["messages"])


@pytest.fixture(scope="package")
def api_with(
    _bot: tuple[BotProcesses, StubServer, StubServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], str]]:
    """The address of an API that asks for this kind of login; its worker is that of `chat`."""
    behind, model, _ = _bot
    with contextlib.ExitStack() as stack:

        @functools.cache
        def address(kind: str) -> str:
            settings = {f"N8N_{name.upper().replace('-', '_')}": value for name, value in LOGINS[kind].items()}
            settings.pop("N8N_JWT_ALGORITHM", None)
            env: dict[str, Any] = {"N8N_AUTH": kind, "LLM_BASE_URL": f"{model.url}/v1", **settings}
            bot = stack.enter_context(BotProcesses(tmp_path_factory.mktemp(kind), behind.temporal_port, **env))
            bot.env["TEMPORAL_TASK_QUEUE"] = behind.queue
            bot.start_api()
            return str(bot.http.base_url.join("/webhook/n8n"))

        yield address


@pytest.mark.parametrize("kind", LOGINS)
def test_logins(chat: Chat, api_with: Callable[[str], str], kind: str) -> None:
    url = api_with(kind)
    config = {"auth-type": kind, **LOGINS[kind]}

    assert chat.langbot.n8n(url, "hello", config=config)["messages"] == ["from the model"]
    chat.model.requests.clear()
    for refused in ({}, config | WRONG[kind]):
        answered = chat.langbot.n8n(url, "hello", config=refused)
        # 4.7 without streaming reads any JSON as an answer
        shown = answered.get("error") or answered["messages"][0]
        assert "from the model" not in shown
    assert not chat.model.requests
