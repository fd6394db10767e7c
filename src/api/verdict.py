"""Why a message is not answered, judged from what Temporal says of its workflow.

The rules are those of the package `diagnosis`, which `mika doctor` uses too; here they get this process's clock, and
what they find becomes the API's words.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mika.diagnosis import ask, proto
from mika.diagnosis.model import FINE, HANGING, Cause, Diagnosis, Surroundings
from mika.diagnosis.running import running, waiting_for
from mika.diagnosis.workflow import classify
from temporalio.service import RPCError

from src.api.signs import Kind, Shared

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
    from temporalio.client import Client

    from src.config import Settings

# A caller waits meanwhile, so what is not known by then is left out.
_EXPLAIN_WITHIN = 1.5
_LOOK_AROUND_EVERY = 1.0
_UNTAKEN = frozenset({Cause.NO_WORKER, Cause.WRONG_TASK_QUEUE, Cause.WRONG_NAMESPACE})


@dataclass(frozen=True, slots=True)
class Verdict:
    """`waited`: seconds since the pending task, which is of this `kind`, is as it is."""

    diagnosis: Diagnosis
    waited: float
    kind: Kind

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
        self.started = clock()
        self._seen: object = None
        self._seen_since = self.started

    @property
    def elapsed(self) -> float:
        """Seconds since the wait began."""
        return self._clock() - self.started

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
        if waiting is None or found.cause not in HANGING:
            return None
        return Verdict(found, age, "workflow" if waiting.activity is None else "activity")

    def _age(self, seen: object) -> float:
        now = self._clock()
        if seen != self._seen:
            self._seen, self._seen_since = seen, now
        return now - self._seen_since


class Judge:
    """Asks the server for what a diagnosis needs beside the description."""

    def __init__(self, client: Client, settings: Settings) -> None:
        service = self._service = client.workflow_service
        self._around = Surroundings(
            namespace=settings.temporal_namespace,
            queue=settings.temporal_task_queue,
            run_timeout=settings.workflow_run_timeout,
            execution_timeout=settings.workflow_execution_timeout,
        )
        # When many callers hear at the same time that there is no worker, one look is enough for all.
        self._look_around = Shared(
            lambda: ask.look_around(service, self._around), _LOOK_AROUND_EVERY, clock=time.monotonic
        )

    async def judge(self, description: DescribeWorkflowExecutionResponse, waited: float | None = None) -> Diagnosis:
        """Takes at most `_EXPLAIN_WITHIN` seconds, and raises nothing: what could not be asked is not known."""
        events: Sequence[Any] = ()
        found = classify(description, events, self._around, waited=waited)
        try:
            async with asyncio.timeout(_EXPLAIN_WITHIN):
                waiting = waiting_for(description)
                attempt = waiting.attempt if waiting else 1
                # The history of a task that nobody ever took tells nothing more, and many may hang at the same time.
                untaken = waiting is not None and attempt == 1 and not waiting.taken
                if attempt > 1 or (found.cause not in FINE and not untaken):
                    execution = description.workflow_execution_info.execution
                    events = await ask.history(self._service, self._around.namespace, execution)
                    found = classify(description, events, self._around, waited=waited)
                if found.cause in {Cause.NO_WORKER, Cause.TIMED_OUT_NO_WORKER}:
                    around = await self._look_around.get()
                    found = classify(description, events, around, waited=waited)
        except (RPCError, RuntimeError, TimeoutError):
            pass
        return found
