"""The whole LangBot in a folder of its own, set up through its own API as a person does it in the browser, and QQ.

Its adapter is the one that it offers for QQ. Since 4.11 that has an address of LangBot, before a port of its own.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from pathlib import Path
from typing import Any, Self

import httpx

from tests.kit.langbot.environments import environment
from tests.kit.machine import FreePort, poll_until

_START_TIMEOUT = 600.0  # s; the first start of a version compiles 2,000 modules, on a busy machine
_QQ = Path(__file__).with_name("qq.py")
_TOKEN = "onebot-token"
_ACCOUNT = {"user": "me@example.org", "password": "Mika-12345-mika"}
_TOOL_SETTINGS = ("PYTHON", "VIRTUAL_ENV", "UV_")


class LangBot:
    """One bot for QQ, with one webhook. `key` is an API key that LangBot made, `onebot` is where QQ connects."""

    def __init__(self, folder: Path, version: str, slots: int = 128) -> None:
        self.version = version
        self._slots = slots
        self._folder = folder
        self._port, self._onebot_port = FreePort(), FreePort()
        self.url = f"http://127.0.0.1:{self._port.number}"
        self.onebot = f"ws://127.0.0.1:{self._onebot_port.number}/ws/"
        self._has_own_address = version.startswith("4.11")
        self._http = httpx.Client(base_url=self.url, timeout=60, trust_env=False)
        self._python = environment(version, whole=True)
        self.key = ""

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "API__PORT": str(self._port.number),
            "API__HOST": "127.0.0.1",
            "API__WEBHOOK_PREFIX": self.url,
            "WEBHOOKS__MAX_INFLIGHT_REQUESTS": str(self._slots),  # since 4.10; its own default is 16
            "PLUGIN__ENABLE": "false",  # a second process, which the bot does not need
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_TOOL_SETTINGS)}
        program = self._python.with_name("langbot.exe" if os.name == "nt" else "langbot")
        self._log = (self._folder / "langbot.log").open("wb")
        self._process = subprocess.Popen(
            [str(program)],
            cwd=self._folder,
            env=inherited | settings,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        try:
            poll_until(self._answers, _START_TIMEOUT, f"LangBot {self.version} at {self.url}")
            self._sign_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()
        self._http.close()
        self._port.release()
        self._onebot_port.release()

    def log(self) -> str:
        return (self._folder / "langbot.log").read_text(encoding="utf-8", errors="replace")

    def unpushed(self) -> int:
        """How many messages it has not pushed, since all `slots` were taken."""
        return self.log().count("Webhook delivery capacity reached")

    def connect(self, webhook: str) -> str:
        """Make the webhook and the bot; returns the bot's id."""
        self.call("POST", "/api/v1/webhooks", name="mika", url=webhook, enabled=True)
        adapter = "aiocqhttp"
        config: dict[str, object] = {"host": "127.0.0.1", "port": self._onebot_port.number, "access-token": _TOKEN}
        if self._has_own_address:
            adapter, config = "onebot-v11", {"connection_mode": "reverse_ws", "access-token": _TOKEN, "self_id": ""}
        bot = {"name": "mika", "description": "", "adapter": adapter, "adapter_config": config, "enable": False}
        made = self.call("POST", "/api/v1/platform/bots", **bot)["uuid"]
        if self._has_own_address:
            self.onebot = f"{self.url.replace('http', 'ws')}/bots/{made}/onebot/v11/ws"
        self.call("PUT", f"/api/v1/platform/bots/{made}", enable=True)  # 4.7 starts none that is new
        return made

    def call(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        answer = self._http.request(method, path, json=body or None).raise_for_status().json()
        assert answer["code"] == 0, answer
        return answer["data"]

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log()[-3000:]
        return self._http.get("/api/v1/system/info").status_code == 200

    def _sign_up(self) -> None:
        self.call("POST", "/api/v1/user/init", **_ACCOUNT)
        token = self.call("POST", "/api/v1/user/auth", **_ACCOUNT)["token"]
        self._http.headers["Authorization"] = f"Bearer {token}"
        self.key = self.call("POST", "/api/v1/apikeys", name="mika")["key"]["key"]


class QQ:
    """The QQ side of one bot: `send` events, `calls` has what LangBot did there."""

    def __init__(self, langbot: LangBot) -> None:
        self._process = subprocess.Popen(
            [str(environment(langbot.version, whole=True)), str(_QQ), langbot.onebot, _TOKEN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        self._lines: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._calls: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self._reader.start()
        try:
            self._lines.get(timeout=90)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdin.close()
        self._process.stdout.close()

    def send(self, event: dict[str, Any]) -> None:
        self._process.stdin.write(json.dumps(event) + "\n")
        self._process.stdin.flush()

    def sent(self) -> list[dict[str, Any]]:
        """The messages that reached a chat so far."""
        while not self._lines.empty():
            self._calls.append(self._lines.get())
        return [call for call in self._calls if call["action"].startswith("send_")]

    def _read(self) -> None:
        for line in self._process.stdout:
            self._lines.put(json.loads(line))
