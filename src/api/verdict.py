"""Why a message is not answered, judged by what Temporal says about its workflow.

The rules are those of the package `diagnosis`, which `mika doctor` uses, too. Here they get this process's clock, and
their result is put into the API's words.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mika.diagnosis import proto
from mika.diagnosis.model import FINE, HANGING, Cause, Diagnosis, Surroundings, WorkerCommands
from mika.diagnosis.returning import return_task, task_in_hand
from mika.diagnosis.running import running, waiting_for
from mika.diagnosis.survey import crowd, find_workers, needs_crowd
from mika.diagnosis.temporal import Temporal
from mika.diagnosis.workflow import classify
from temporalio.service import RPCError

from src.api.signs import Kind, SharedRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from temporalio.api.common.v1 import WorkflowExecution
    from temporalio.api.history.v1 import HistoryEvent
    from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

    from src.config import Settings

# The caller waits meanwhile, so the diagnosis does without what is not known after this time.
_DIAGNOSIS_TIMEOUT = 1.5  # s
_FIND_WORKERS_EVERY = 1.0  # s
_UNTAKEN = frozenset({Cause.NO_WORKER, Cause.WRONG_TASK_QUEUE, Cause.WRONG_NAMESPACE})
# The API cannot know whether the worker is run by mika or by somebody in a terminal.
_WORKER = WorkerCommands(
    start=("mika start worker",),
    restart=("mika restart worker",),
    by_hand="python -m src.workers.temporal_worker",
    logs="mika logs worker",
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`waited`: seconds that the pending task, which is of this `kind`, has been in its present state.

    `since`: when it came into that state, by the server's clock.
    """

    diagnosis: Diagnosis
    waited: float
    kind: Kind
    since: float

    @property
    def code(self) -> str:
        """The problem's code."""
        if self.diagnosis.cause == Cause.ACTIVITY_PAUSED:
            return "activity_paused"
        return "no_worker" if self.diagnosis.cause in _UNTAKEN else "worker_unresponsive"


class Watch:
    """Follows one workflow, and remembers for how long it has been waiting for the same thing.

    Ages are differences within this process's clock or within the server's, because the two clocks may differ.
    """

    def __init__(self, soft_wait: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._soft_wait = soft_wait
        self._clock = clock
        self.started = clock()
        self._waiting_key: object = None
        self._waiting_since = self.started

    @property
    def elapsed(self) -> float:
        """Seconds since the wait began."""
        return self._clock() - self.started

    def assess(self, description: DescribeWorkflowExecutionResponse) -> Verdict | None:
        """None while a worker is on it, or if it is too early to tell."""
        waiting = waiting_for(description)
        age = self._age(waiting.key if waiting else None)
        if waiting is not None and waiting.activity is None:
            # The first task is about as old as the workflow, which was started before the first call of this method.
            age = max(age, self.elapsed - (waiting.since - proto.at(description.workflow_execution_info.start_time)))
        if self.elapsed < self._soft_wait:
            return None
        surroundings = Surroundings(patience=self._soft_wait, worker=_WORKER)
        diagnosis = running(description, (), surroundings, 0.0, age)
        if waiting is None or diagnosis.cause not in HANGING:
            return None
        return Verdict(diagnosis, age, "workflow" if waiting.activity is None else "activity", waiting.since)

    def _age(self, waiting_key: object) -> float:
        now = self._clock()
        if waiting_key != self._waiting_key:
            self._waiting_key, self._waiting_since = waiting_key, now
        return now - self._waiting_since


class Judge:
    """Makes a diagnosis. Asks the server for what it needs in addition to the description."""

    def __init__(self, temporal: Temporal, settings: Settings) -> None:
        self._temporal = temporal
        surroundings = self._surroundings = Surroundings(
            address=settings.temporal_address,
            namespace=settings.temporal_namespace,
            queue=settings.temporal_task_queue,
            run_timeout=settings.workflow_run_timeout,
            execution_timeout=settings.workflow_execution_timeout,
            worker=_WORKER,
        )
        # If there is no worker, many callers find out at the same time, and one search is enough for all.
        self._workers = SharedRequest(
            lambda: find_workers(temporal, surroundings), _FIND_WORKERS_EVERY, clock=time.monotonic
        )

    async def judge(self, description: DescribeWorkflowExecutionResponse, waited: float | None = None) -> Diagnosis:
        """Takes at most `_DIAGNOSIS_TIMEOUT` seconds. Raises nothing: without an answer, it uses what is known."""
        events: Sequence[HistoryEvent] = ()
        diagnosis = classify(description, events, self._surroundings, waited=waited)
        try:
            async with asyncio.timeout(_DIAGNOSIS_TIMEOUT):
                waiting = waiting_for(description)
                attempt = waiting.attempt if waiting else 1
                # If nobody ever took the task, the history says nothing more, and many may hang at the same time.
                is_untaken = waiting is not None and attempt == 1 and not waiting.taken
                # During the pause before a local activity's next attempt, only the history shows anything.
                if attempt > 1 or waiting is None or (diagnosis.cause not in FINE and not is_untaken):
                    events = await self._temporal.newest_events(description.workflow_execution_info.execution)
                    diagnosis = classify(description, events, self._surroundings, waited=waited)
                if diagnosis.cause in {Cause.NO_WORKER, Cause.TIMED_OUT_NO_WORKER}:
                    around = await self._workers.get()
                    if needs_crowd(diagnosis):
                        around = replace(around, crowd=await crowd(self._temporal, description.workflow_execution_info))
                    diagnosis = classify(description, events, around, waited=waited)
        except (RPCError, RuntimeError, TimeoutError):
            pass
        return diagnosis

    async def return_lost(self, verdict: Verdict, execution: WorkflowExecution) -> bool:
        """Return a workflow task that a worker was given long ago; once. False if it is not with a worker.

        The worker may never have got it: on a busy machine, the answer to its poll can be lost. Then it, or another
        one, takes it now. If it has it and only hangs, the verdict will be the same some seconds later.
        """
        if verdict.kind != "workflow" or verdict.code == "no_worker":
            return False
        temporal = self._temporal
        try:
            async with asyncio.timeout(_DIAGNOSIS_TIMEOUT):
                started = await task_in_hand(temporal, execution)
                if started is None:
                    return False
                namespace_id = (await temporal.describe_namespace()).namespace_info.id
                await return_task(temporal, namespace_id, execution, started, "mika-api")
        except (RPCError, RuntimeError, TimeoutError):
            return False
        return True
