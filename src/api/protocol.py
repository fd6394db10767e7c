"""uvicorn's HTTP protocol with what it lacks: deadlines for a request that does not arrive (`--http` in the Procfile).

uvicorn waits for ever for the rest of a request (Kludex/uvicorn #157), so a client that sends a byte now and then holds
a connection for as long as it likes. An app cannot help: it only sees a request whose head is complete.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import h11
import structlog
from uvicorn.protocols.http.h11_impl import H11Protocol

from src.api.problems import response_to
from src.intake.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Sized

    from starlette.types import Receive, Scope, Send
    from uvicorn.config import Config
    from uvicorn.server import ServerState

log = structlog.get_logger("mika.api")

HEAD_TIMEOUT = 5.0
"""Seconds from the connection, or from the first byte of a later request, to the end of its headers."""
BODY_TIMEOUT = 12.0
"""Seconds for a body. Longer than the app's own, which gives an answer; this is for bodies that nobody reads."""


class ImpatientProtocol(H11Protocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # uvicorn's own answer would be plain text, also to /healthz, for which a supervisor would restart the API.
        self._limit, self.limit_concurrency = self.limit_concurrency, None
        self._app = self.app
        self._came_late = False
        self._timer: asyncio.TimerHandle | None = None
        self._timed: object = None
        """The state of the client that `_timer` limits."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._came_late = self._has_too_many(self.connections)
        self._limit_state(h11.IDLE, HEAD_TIMEOUT)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.conn.their_state is h11.IDLE:
            self._limit_state(h11.IDLE, HEAD_TIMEOUT)
        self.app = self._or_overloaded if self._is_over_limit() else self._app
        super().data_received(data)
        self._follow_state()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._follow_state()

    def _follow_state(self) -> None:
        state = self.conn.their_state
        if state is h11.SEND_BODY:
            self._limit_state(state, BODY_TIMEOUT)
        elif state is not self._timed:
            self._stop_timer()

    def _limit_state(self, state: object, seconds: float) -> None:
        if self._timed is not state:
            self._stop_timer()
            self._timer, self._timed = self.loop.call_later(seconds, self._give_up), state

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._timed = None

    def _give_up(self) -> None:
        self._timer = self._timed = None
        if self.transport.is_closing():
            return
        has_begun = bool(self.conn.trailing_data[0]) and self.conn.our_state is h11.IDLE
        if has_begun:  # or else the client only keeps a connection in reserve
            log.warning("request_too_slow", client=self.client and self.client[0])
            self._refuse(Problem("request_timeout", f"The headers did not arrive within {HEAD_TIMEOUT:g} s."))
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Not plain text, as uvicorn's own."""
        self._refuse(Problem("bad_request", msg))
        self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        """Without the app, which has not seen a request."""
        response = response_to(problem)
        headers = [*response.raw_headers, (b"connection", b"close")]
        reason = HTTPStatus(response.status_code).phrase.encode()
        for event in (
            h11.Response(status_code=response.status_code, headers=headers, reason=reason),
            h11.Data(data=bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")

    def _is_over_limit(self) -> bool:
        """Of too many connections, those that came first are served: to refuse all of them would help nobody."""
        return (self._came_late and self._has_too_many(self.connections)) or self._has_too_many(self.tasks)

    def _has_too_many(self, things: Sized) -> bool:
        return self._limit is not None and len(things) > self._limit

    async def _or_overloaded(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/healthz":
            await self._app(scope, receive, send)
        else:
            problem = Problem("api_overloaded", f"There are more than {self._limit} connections or requests at once.")
            await response_to(problem)(scope, receive, send)
