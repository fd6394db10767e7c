"""One `mika send` below its command, in front of an API that answers by a plan."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from pathlib import Path
from typing import Any

from mika.config import load as config
from mika.errors import MikaError
from mika.reason import Reason
from mika.stack.send import Reply, send
from mika.status import Phase, StackStatus, UnitStatus

from tests.kit.machine import free_port


class Api:
    """Answers each request with the next of `plan`, and at last always with the last.

    Each is a status and a body; None: it hangs up; `silent`: it waits until the other side hangs up.
    """

    def __init__(self, *plan: tuple[int, Any] | str | None) -> None:
        self._plan = list(plan)
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.times: list[float] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = re.search(r"Content-Length: (\d+)", head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            self.requests.append((head.split(" HTTP")[0], json.loads(body or b"{}")))
            self.times.append(time.monotonic())
            answer = self._plan.pop(0) if len(self._plan) > 1 else self._plan[0]
            if answer == "silent":
                await reader.read()
            elif isinstance(answer, tuple):
                text = answer[1] if isinstance(answer[1], bytes) else json.dumps(answer[1]).encode()
                writer.write(b"HTTP/1.1 %d Words\r\nContent-Length: %d\r\n\r\n%s" % (answer[0], len(text), text))
        writer.close()


def process(name: str, phase: Phase = Phase.READY, *, reason: str = "", address: str = "") -> UnitStatus:
    return UnitStatus(name=name, role="process", type=name, phase=phase, reason=Reason(reason), address=address)


def stack(*units: UnitStatus) -> StackStatus:
    return StackStatus(state="ready", backend="none", supervisor_pid=1, uptime_s=1.0, processes=units)


class Sent:
    """One `send`: its reply or error, and what it said."""

    def __init__(
        self,
        folder: Path,
        api: Api | None,
        status: StackStatus | MikaError,
        timeout: float = 20.0,
        text: str = "hi",
        bot: str | None = None,
        **env: str,
    ) -> None:
        self.said: list[str] = []
        self.reply: Reply | None = None
        self.error = MikaError("none")
        began = time.monotonic()
        with free_port() as port:
            try:
                self.reply = asyncio.run(
                    self._send(folder, api, status, timeout, text, bot, env | {"API_PORT": str(port)})
                )
            except MikaError as error:
                self.error = error
        self.seconds = time.monotonic() - began

    async def _send(
        self,
        folder: Path,
        api: Api | None,
        status: StackStatus | MikaError,
        timeout: float,
        text: str,
        bot: str | None,
        env: dict[str, str],
    ) -> Reply:
        def ask() -> StackStatus:
            if isinstance(status, MikaError):
                raise status
            return status

        settings = config.load(folder, environ={"WEBHOOK_SECRET": "s3cret", **env})
        async with contextlib.AsyncExitStack() as after:
            if api is not None:
                await after.enter_async_context(
                    await asyncio.start_server(api.serve, "127.0.0.1", settings.port("API_PORT"))
                )
            return await asyncio.to_thread(
                lambda: send(
                    text,
                    user="ann",
                    group=None,
                    bot=bot,
                    config=settings,
                    status=ask,
                    timeout=timeout,
                    say=self.said.append,
                )
            )
