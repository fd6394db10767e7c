"""The n8n runner of LangBot up to 4.10; later it is a plugin, which is not on the package index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.langbot.conftest import Chat
from tests.kit.bot_processes import BotProcesses
from tests.kit.langbot.environments import VERSIONS

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


@pytest.fixture(params=LOGINS)
def login(
    request: pytest.FixtureRequest, chat: Chat, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """The kind, and the address of an API that asks for it; its worker is that of `chat`."""
    kind = request.param
    settings = {f"N8N_{name.upper().replace('-', '_')}": value for name, value in LOGINS[kind].items()}
    settings.pop("N8N_JWT_ALGORITHM", None)
    env: dict[str, Any] = {"N8N_AUTH": kind, "LLM_BASE_URL": f"{chat.model.url}/v1", **settings}
    with BotProcesses(tmp_path_factory.mktemp(kind), chat.bot.temporal_port, **env) as bot:
        bot.env["TEMPORAL_TASK_QUEUE"] = chat.bot.queue
        bot.start_api()
        yield kind, str(bot.http.base_url.join("/webhook/n8n"))


def test_logins(chat: Chat, login: tuple[str, str]) -> None:
    kind, url = login
    config = {"auth-type": kind, **LOGINS[kind]}

    assert chat.langbot.n8n(url, "hello", config=config)["messages"] == ["from the model"]
    chat.model.requests.clear()
    for refused in ({}, config | WRONG[kind]):
        answered = chat.langbot.n8n(url, "hello", config=refused)
        # 4.7 without streaming reads any JSON as an answer
        shown = answered.get("error") or answered["messages"][0]
        assert "from the model" not in shown
    assert not chat.model.requests
