"""Why a message is not answered, judged from what Temporal says of its workflow.

The rules are those of the package `diagnosis`, which `mika doctor` uses too; here they get this process's clock, and
what they find becomes the API's words.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from temporalio.service import RPCError

from diagnosis import ask, proto
from diagnosis.model import FINE, HANGING, Cause, Diagnosis, Surroundings
from diagnosis.running import running, waiting_for
from diagnosis.workflow import classify

if TYPE_CHECKING:
    from collections.abc import Callable

    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
    from temporalio.client import Client

    from src.config import Settings

# A caller waits meanwhile, so what is not known by then is left out.
_EXPLAIN_WITHIN = 1.5
_UNTAKEN = frozenset({Cause.NO_WORKER, Cause.WRONG_TASK_QUEUE, Cause.WRONG_NAMESPACE})


@dataclass(frozen=True, slots=True)
class Verdict:
    """`waited`: seconds since the pending task is as it is."""

    diagnosis: Diagnosis
    waited: float

    @property
    def code(self) -> str:
        """The problem's code."""
        return "no_worker" if self.diagnosis.cause in _UNTAKEN else "worker_unresponsive"


class Watch:
    """Looks again and again at one workflow, and remembers since when it sees the same thing.

    Ages come from this process's own clock, or from two times of the server's: their clocks need not agree.
    """

    def __init__(self, soft_wait: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._soft_wait = soft_wait
        self._clock = clock
        self._started = clock()
        self._seen: object = None
        self._seen_since = self._started

    @property
    def elapsed(self) -> float:
        """Seconds since the wait began."""
        return self._clock() - self._started

    def look(self, description: DescribeWorkflowExecutionResponse) -> Verdict | None:
        """None while a worker is on it, or while it is too early to tell."""
        waiting = waiting_for(description)
        age = self._age(waiting.key if waiting else None)
        if waiting is not None and waiting.activity is None:
            # The first task is about as old as the workflow, which began before the first look at it.
            age = max(age, self.elapsed - (waiting.since - proto.at(description.workflow_execution_info.start_time)))
        if self.elapsed < self._soft_wait:
            return None
        found = running(description, (), Surroundings(patience=self._soft_wait), 0.0, age)
        return Verdict(found, age) if found.cause in HANGING else None

    def _age(self, seen: object) -> float:
        now = self._clock()
        if seen != self._seen:
            self._seen, self._seen_since = seen, now
        return now - self._seen_since


class Judge:
    """Asks the server for what a diagnosis needs beside the description."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._service = client.workflow_service
        self._around = Surroundings(
            namespace=settings.temporal_namespace,
            queue=settings.temporal_task_queue,
            run_timeout=settings.workflow_run_timeout,
            execution_timeout=settings.workflow_execution_timeout,
        )

    async def judge(self, description: DescribeWorkflowExecutionResponse, waited: float | None = None) -> Diagnosis:
        """Takes at most `_EXPLAIN_WITHIN` seconds, and raises nothing: what could not be asked is not known."""
        found = classify(description, (), self._around, waited=waited)
        try:
            async with asyncio.timeout(_EXPLAIN_WITHIN):
                waiting = waiting_for(description)
                if found.cause not in FINE or (waiting is not None and waiting.attempt > 1):
                    execution = description.workflow_execution_info.execution
                    events = await ask.history(self._service, self._around.namespace, execution)
                    found = classify(description, events, self._around, waited=waited)
                if found.cause in {Cause.NO_WORKER, Cause.TIMED_OUT_NO_WORKER}:
                    around = await ask.look_around(self._service, self._around)
                    found = classify(description, events, around, waited=waited)
        except (RPCError, RuntimeError, TimeoutError):
            pass
        return found
