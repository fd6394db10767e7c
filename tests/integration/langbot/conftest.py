"""The bot with a model and a LangBot API that are scripted, and in front of it the real classes of one LangBot."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.kit.bot_processes import BotProcesses, TemporalServer
from tests.kit.langbot.client import SELF_ID, LangBotClasses, onebot_message
from tests.kit.langbot.environments import VERSIONS
from tests.kit.machine import poll_until
from tests.kit.stub_http import Answer, StubServer

_numbers = itertools.count(1000)  # no two tests share a message or a person: nobody is too loud
SENT = {"code": 0, "data": {"sent": True}, "msg": "ok"}  # what LangBot's own `send_message` answers
KEY, SECRET = "lbk-key", "in the address"
GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


@dataclass
class Chat:
    """One LangBot, the bot behind it, and what both said."""

    langbot: LangBotClasses
    bot: BotProcesses
    model: StubServer
    api: StubServer
    images: str

    @property
    def webhook(self) -> str:
        return self.url("/webhook/langbot")

    def url(self, path: str) -> str:
        return str(self.bot.http.base_url.join(f"{path}?secret={SECRET}"))

    def number(self) -> int:
        return next(_numbers)

    def says(
        self, *parts: dict[str, Any] | str, group: int | None = None, number: int = 0, **how: Any
    ) -> dict[str, Any]:
        """A new person says this on QQ. What LangBot made of it, and whether its own pipeline is left out."""
        number = number or self.number()
        message = onebot_message(*parts, message_id=number, user=10_000 + number, group=group)
        return self.langbot.push(self.webhook, onebot=message, **how)

    def says_chain(self, *parts: dict[str, Any], group: int | None = None) -> dict[str, Any]:
        """As `says`, with components of LangBot, also those that no event of OneBot brings."""
        number = self.number()
        source = {"type": "Source", "id": number, "time": 1795493979}
        return self.langbot.push(self.webhook, chain=[source, *parts], user=10_000 + number, group=group)

    def asked(self) -> str:
        """The last thing that a user said to the model."""
        return self.model.requests[-1][2]["messages"][-1]["content"]

    def replies(self) -> list[tuple[str, dict[str, str], Any]]:
        """What LangBot was asked to send. (The bot also asks it who it is.)"""
        return [request for request in self.api.requests if request[0].endswith("/send_message")]

    def reply(self) -> tuple[str, dict[str, Any]]:
        """The path and the body of the one reply that LangBot was asked to send."""
        (path, headers, body), *more = poll_until(self.replies, 30, "a reply")
        assert not more
        assert headers["x-api-key"] == KEY
        return path, body

    def delivered(self) -> list[dict[str, Any]]:
        """What this LangBot makes of the reply for QQ."""
        return self.langbot.deliver(self.reply()[1]["message_chain"])["segments"]


@pytest.fixture(scope="package")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a picture, as QQ has it for each that is sent."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "a.gif").write_bytes(GIF)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/a.gif"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="package")
def _bot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[BotProcesses, StubServer, StubServer]]:
    with contextlib.ExitStack() as stack:
        model, api = stack.enter_context(StubServer()), stack.enter_context(StubServer())
        server = stack.enter_context(TemporalServer(tmp_path_factory.mktemp("temporal"), in_memory=True))
        settings = {
            "LLM_BASE_URL": f"{model.url}/v1",
            "LANGBOT_API_BASE_URL": api.url,
            "LANGBOT_API_KEY": KEY,
            "WEBHOOK_SECRET": SECRET,
            "BOT_IDS": SELF_ID,  # else LangBot would be asked
        }
        bot = stack.enter_context(BotProcesses(Path(tmp_path_factory.mktemp("bot")), server.port, **settings))
        bot.start_api()
        bot.start_worker()
        yield bot, model, api


@pytest.fixture(scope="package", params=VERSIONS)
def langbot(request: pytest.FixtureRequest) -> Iterator[LangBotClasses]:
    with LangBotClasses(request.param) as classes:
        yield classes


@pytest.fixture
def chat(langbot: LangBotClasses, _bot: tuple[BotProcesses, StubServer, StubServer], images: str) -> Chat:
    bot, model, api = _bot
    for stub in (model, api):
        stub.reset()
    api.default = Answer(200, SENT)
    bot.forget()
    return Chat(langbot, bot, model, api, images)
