"""A scripted HTTP server on loopback, in a thread: stands for a language model, or for LangBot."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass
class Answer:
    status: int = 200
    body: Any = None  # bytes as they are, None: a chat completion, anything else as JSON
    headers: dict[str, str] = field(default_factory=dict)
    hold: threading.Event | None = None  # answers only when this is set


def completion(text: str | None) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "stub", "choices": [choice]}


class StubServer:
    """`plan` is answered in order, afterwards `default`; `requests` holds (path, headers, decoded body)."""

    def __init__(self) -> None:
        self.plan: deque[Answer] = deque()
        self.default = Answer()
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self._holds: list[threading.Event] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def reset(self) -> None:
        """As new, with every answer that is held let go."""
        for hold in self._holds:
            hold.set()
        self._holds.clear()
        self.plan.clear()
        self.requests.clear()
        self.default = Answer()

    def holding(self) -> Answer:
        """An answer that waits for `answer.hold.set()`, or for the end of the test."""
        answer = Answer(hold=threading.Event())
        self._holds.append(answer.hold)
        return answer

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.reset()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(None)

            def do_POST(self) -> None:
                self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def _answer(self, body: Any) -> None:
                stub.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                answer = stub.plan.popleft() if stub.plan else stub.default
                if answer.hold:
                    answer.hold.wait(30)
                content = completion("from the model") if answer.body is None else answer.body
                raw = content if isinstance(content, bytes) else json.dumps(content).encode()
                try:
                    self.send_response(answer.status)
                    headers = {"Content-Type": "application/json", "Content-Length": str(len(raw)), **answer.headers}
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(raw)
                except OSError:
                    pass  # the client was killed meanwhile

            def log_message(self, *_: object) -> None:
                pass

        return Handler
