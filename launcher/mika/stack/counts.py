"""How many workflows are open, and how many have failed lately."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mika.address import join
from mika.config.load import Config
from mika.diagnosis.temporal import RPC_TIMEOUT, Temporal
from mika.readiness import access, login

if TYPE_CHECKING:
    from typing import Self

_LATELY = timedelta(hours=1)
_INTERVAL = 5.0  # s between two questions
_AFTER_FAILURE = 60.0  # s


class WorkflowCounts:
    """Asks one server, again and again; made, used and closed in one thread, which has no event loop of its own."""

    def __init__(self, config: Callable[[], Config]) -> None:
        self._config = config
        self._runner = asyncio.Runner()
        self._temporal: Temporal | None = None
        self._next = 0.0
        self._last: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.close()

    def look(self) -> tuple[int, int] | None:
        """Open ones, and those that failed or timed out within the last hour; None if the server does not say.

        Blocks for some seconds at most. Asks no more often than the server should be asked.
        """
        if time.monotonic() >= self._next:
            self._last = None
            with contextlib.suppress(Exception):  # whatever the SDK raises: then the numbers are left out
                self._last = self._runner.run(self._ask())
            self._next = time.monotonic() + (_INTERVAL if self._last is not None else _AFTER_FAILURE)
        return self._last

    async def _ask(self) -> tuple[int, int]:
        async with asyncio.timeout(2 * RPC_TIMEOUT):
            if self._temporal is None:
                self._temporal = await self._connect()
            since = datetime.now(UTC) - _LATELY
            failed = f"ExecutionStatus IN ('Failed', 'TimedOut') AND CloseTime > '{since:%Y-%m-%dT%H:%M:%SZ}'"
            return (
                await self._temporal.count_workflows("ExecutionStatus = 'Running'"),
                await self._temporal.count_workflows(failed),
            )

    async def _connect(self) -> Temporal:
        config = self._config()
        address = join(config.text("TEMPORAL_HOST"), config.port("TEMPORAL_PORT"))
        client = await access.open_client(address, "mika", login.read(config.login()))
        return Temporal(client, config.text("TEMPORAL_NAMESPACE"))
