"""An editor that debugs: a small client of the Debug Adapter Protocol."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any, Self

from tests.kit.machine import DEADLINE, poll_until

Message = dict[str, Any]


class Editor:
    """Attached to a process that listens at `port` of this machine."""

    def __init__(self, port: int) -> None:
        self._socket = poll_until(
            lambda: socket.create_connection(("127.0.0.1", port), 5), DEADLINE, f"a debugger at {port}"
        )
        self._file = self._socket.makefile("rb")
        self._sent = 0
        self._unread: list[Message] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def attach(self, file: Path, *lines: int) -> None:
        """With breakpoints at these lines of `file`, which must all be valid."""
        self._ask("initialize", adapterID="kit", pathFormat="path", linesStartAt1=True)
        self._send("attach", justMyCode=True)
        self._wait("event", "initialized")
        points = [{"line": line} for line in lines]
        answer = self._ask("setBreakpoints", source={"path": str(file)}, breakpoints=points)
        assert all(point["verified"] for point in answer["breakpoints"]), answer
        self._ask("configurationDone")

    def stopped(self, timeout: float = DEADLINE) -> tuple[str, int, dict[str, str]]:
        """Wait until it stops: the function, the line, and the local variables there."""
        self._thread = self._wait("event", "stopped", timeout)["threadId"]
        frame = self._ask("stackTrace", threadId=self._thread, levels=1)["stackFrames"][0]
        scope = self._ask("scopes", frameId=frame["id"])["scopes"][0]
        variables = self._ask("variables", variablesReference=scope["variablesReference"])["variables"]
        return frame["name"], frame["line"], {each["name"]: each["value"] for each in variables}

    def go_on(self) -> None:
        self._ask("continue", threadId=self._thread)

    def _ask(self, command: str, **arguments: Any) -> Message:
        self._send(command, **arguments)
        return self._wait("response", command)

    def _send(self, command: str, **arguments: Any) -> None:
        self._sent += 1
        message = {"seq": self._sent, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(message).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def _wait(self, kind: str, name: str, timeout: float = DEADLINE) -> Message:
        """The body of the next event or response of that name; others are kept."""
        deadline = time.monotonic() + timeout
        key = "event" if kind == "event" else "command"
        while True:
            for number, message in enumerate(self._unread):
                if message["type"] == kind and message.get(key) == name:
                    del self._unread[number]
                    assert message.get("success", True), message
                    return message.get("body") or {}
            self._unread.append(self._receive(deadline - time.monotonic()))

    def _receive(self, timeout: float) -> Message:
        self._socket.settimeout(max(0.1, timeout))
        length = 0
        while (line := self._file.readline()) != b"\r\n":
            assert line, "the debugger has closed the connection"
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        message: Message = json.loads(self._file.read(length))
        return message
