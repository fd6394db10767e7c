"""Stands for LangBot's service API, with every way in which it can fail: `python -m tests.kit.langbot_api PORT FILE`.

What is delivered to the chat is a line of the file, which outlives a killed process.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import sys
import threading
import time
import uuid
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

OK = {"code": 0, "msg": "ok", "data": {"sent": True}}
UNLIMITED = {"BOT_USER_RATE_LIMIT": 0, "BOT_GROUP_RATE_LIMIT": 0}
"""Settings for a bot that is to answer more than a person would ask."""
HTML = b"<html><body>Welcome to nginx!</body></html>"


def event(text: str = "", message_id: str | None = None, group: str | None = "20002") -> dict[str, Any]:
    """What LangBot pushes for a message, which calls the bot by its name and says nothing twice. See `UNLIMITED`."""
    message_id = message_id or uuid.uuid4().hex
    source = {"type": "Source", "id": message_id, "timestamp": 1}
    message = [source, {"type": "Plain", "text": f"mika, {text or message_id}"}]
    data: dict[str, Any] = {"bot_uuid": "bot-1", "sender": {"id": "10001", "name": ""}, "message": message}
    data |= {"group": {"id": group, "name": "g"}} if group else {}
    kind = "bot.group_message" if group else "bot.person_message"
    return {"uuid": uuid.uuid4().hex, "event_type": kind, "data": data}


class LangBotApi:
    """Answers as `plan` says, in order, afterwards as `default`.

    `ok`; a status, with `!` if it is answered after the message was delivered; `html`; `hang`, `cut` (after the
    delivery), `slow` (up to 0.2 s before the delivery, and after it), `late` (4 s before it).
    """

    def __init__(self, port: int, file: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.plan: deque[str] = deque()
        self.default = "ok"
        self.requests: list[tuple[float, str, dict[str, str], dict[str, Any]]] = []
        self._port, self._file = port, file
        self._server: ThreadingHTTPServer | None = None
        self._released = threading.Event()
        self._lock = threading.Lock()
        file.touch()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        ThreadingHTTPServer.allow_reuse_address = True
        self._released.clear()
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}).start()

    def stop(self) -> None:
        """From now on, connections are refused."""
        self._released.set()
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def reset(self) -> None:
        self.stop()
        self.plan.clear()
        self.requests.clear()
        self.default = "ok"
        self._file.write_bytes(b"")
        self.start()

    def delivered(self) -> list[dict[str, Any]]:
        """Each message that is in the chat: `target_type`, `target_id`, `text`."""
        return [json.loads(line) for line in self._file.read_text(encoding="utf-8").splitlines()]

    def texts(self) -> list[str]:
        return [message["text"] for message in self.delivered()]

    def _deliver(self, body: dict[str, Any]) -> None:
        text = "".join(part["text"] for part in body["message_chain"])
        message = {"target_type": body["target_type"], "target_id": body["target_id"], "text": text}
        with self._lock, self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(message) + "\n")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                api.requests.append((time.monotonic(), self.path, headers, body))
                answer = api.plan.popleft() if api.plan else api.default
                with contextlib.suppress(OSError):  # the bot was killed meanwhile
                    self._answer(answer, body)

            def _answer(self, answer: str, body: dict[str, Any]) -> None:
                match answer:
                    case "ok":
                        api._deliver(body)
                        self._send(200, OK)
                    case "slow":
                        time.sleep(random.uniform(0, 0.2))
                        api._deliver(body)
                        time.sleep(random.uniform(0, 0.2))
                        self._send(200, OK)
                    case "late":
                        time.sleep(4)
                        api._deliver(body)
                        self._send(200, OK)
                    case "html":
                        self._send(200, HTML)
                    case "hang":
                        api._released.wait(60)
                        self.close_connection = True
                    case "cut":
                        api._deliver(body)
                        self.connection.shutdown(socket.SHUT_RDWR)
                        self.close_connection = True
                    case _:
                        if answer.endswith("!"):
                            api._deliver(body)
                        self._send(int(answer.rstrip("!")), {"code": -1, "msg": "failed"})

            def _send(self, status: int, body: Any) -> None:
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/html" if isinstance(body, bytes) else "application/json")
                self.send_header("Content-Length", str(len(raw)))
                if status == 429:
                    self.send_header("Retry-After", "2")
                if status == 301:
                    self.send_header("Location", "https://elsewhere.invalid/")
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


if __name__ == "__main__":
    langbot = LangBotApi(int(sys.argv[1]), Path(sys.argv[2]))
    langbot.default = "slow"
    langbot.start()
    print("LangBot's API is up", flush=True)
