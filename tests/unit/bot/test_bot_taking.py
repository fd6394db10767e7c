"""What an event is answered that comes again, after it was not taken when it came first."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from src.api.taking import Taken, take
from src.chat_text import CANNED_REPLY
from src.config import Settings
from src.history.keys import KeyFile
from src.history.sqlite import SqliteHistory
from src.intake.problems import Problem
from src.messages import IncomingMessage, ReplyTarget
from src.sending import Sender
from tests.kit.langbot_api import LangBotApi
from tests.kit.machine import free_port

INCOMING = IncomingMessage("10001", "hello", reply_to=ReplyTarget("bot-1", "person", "10001"))


class Refusing:
    """A service that takes everything but the first message."""

    def __init__(self, code: str) -> None:
        self._code: str | None = code
        self.taken = 0

    async def take(self, _incoming: IncomingMessage, _workflow_id: str, _limit: float) -> None:
        if self._code is not None:
            code, self._code = self._code, None
            raise Problem(code, "not now")
        self.taken += 1


@pytest.mark.parametrize(
    ("on_failure", "code", "first", "again"),
    [
        ("pipeline", "temporal_unavailable", False, ("already_answered", False)),
        ("pipeline", "busy", False, (None, True)),
        ("pipeline", "no_worker", False, (None, True)),
        ("apology", "temporal_unavailable", True, ("already_answered", True)),
        ("apology", "busy", True, ("already_answered", True)),
    ],
)
def test_it_is_answered_once(tmp_path, on_failure, code, first, again):
    service = Refusing(code)

    async def push() -> list[Taken]:
        history = SqliteHistory(tmp_path / "history.sqlite3", KeyFile(tmp_path / "key"), timedelta(days=90))
        settings = Settings(_env_file=None, langbot_api_base_url=langbot.url, langbot_on_failure=on_failure)
        sender = Sender(settings, history)
        try:
            return [
                await take(service, sender, settings, INCOMING, "w1", began=time.monotonic())  # type: ignore[arg-type]
                for _ in range(2)
            ]
        finally:
            await history.close()

    with free_port() as port, LangBotApi(port, tmp_path / "chat.jsonl") as langbot:
        one, two = asyncio.run(push())
        assert langbot.texts() == ([CANNED_REPLY] if on_failure == "apology" else [])
    assert one.problem is not None
    assert (one.problem.code, one.is_answered) == (code, first)
    assert (two.problem and two.problem.code, two.is_answered) == again
    assert service.taken == (0 if two.problem else 1)
