"""The words of a diagnosis."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PATIENCE = 3.0
"""Seconds after which a task that nobody took or answered is no longer normal: a healthy worker needs 0.3 s."""


RETRY = "`mika workflows retry ID`"

# The types of the errors that the bot's activities raise. They are stored in histories: rename none.
LLM_ERROR, LLM_TIMEOUT, HISTORY_ERROR = "LlmError", "LlmTimeout", "HistoryError"


class Cause(StrEnum):
    """Stable identifiers; scripts may rely on them."""

    HEALTHY = "healthy"
    RUNNING = "running"
    NO_WORKER = "no_worker"
    WORKER_UNRESPONSIVE = "worker_unresponsive"
    ACTIVITY_RETRYING = "activity_retrying"
    ACTIVITY_FAILED = "activity_failed"
    TIMED_OUT_NO_WORKER = "timed_out_no_worker"
    TIMED_OUT_SLOW = "timed_out_slow"
    WRONG_TASK_QUEUE = "wrong_task_queue"
    WRONG_NAMESPACE = "wrong_namespace"
    WORKFLOW_TASK_FAILING = "workflow_task_failing"
    WORKFLOW_FAILED = "workflow_failed"
    CANCELED = "canceled"
    TERMINATED = "terminated"
    NOT_FOUND = "not_found"


FINE = frozenset({Cause.HEALTHY, Cause.RUNNING})
HANGING = frozenset(
    {
        Cause.NO_WORKER,
        Cause.WORKER_UNRESPONSIVE,
        Cause.WRONG_TASK_QUEUE,
        Cause.WRONG_NAMESPACE,
        Cause.WORKFLOW_TASK_FAILING,
    }
)
"""It runs, and without help nothing will come of it."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`finding` and `fix` are one sentence each; `fix` is empty where nothing is to be mended."""

    cause: Cause
    finding: str
    evidence: tuple[str, ...] = ()
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Poller:
    """One worker process as the server lists it. `age`: seconds since it was last seen on its oldest queue type.

    `state` is `alive`, `stale` (not seen for longer than a poll lasts), `gone` (its process does not exist any more) or
    `stopped` (its process is suspended): the server's list keeps a killed worker for minutes.
    """

    identity: str
    namespace: str
    queue: str
    age: float
    workflows: bool
    activities: bool
    state: str = "alive"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known beside the workflow. `pollers` is None where nobody asked."""

    namespace: str = "default"
    queue: str = ""
    """The task queue of the configuration."""
    pollers: tuple[Poller, ...] | None = None
    patience: float = PATIENCE
    run_timeout: float | None = None
    execution_timeout: float | None = None
    start_worker: str = "start it: `mika start worker`, or by hand `python -m src.workers.temporal_worker`"
    restart_worker: str = "restart it: `mika restart worker`, or end its process and start it again"

    def alive(self, namespace: str, queue: str) -> list[Poller]:
        """Workers that take tasks there now."""
        return [p for p in self.at(namespace, queue) if p.state == "alive"]

    def at(self, namespace: str, queue: str) -> list[Poller]:
        return [p for p in self.pollers or () if p.namespace == namespace and p.queue == queue]

    def state_of(self, identity: str) -> str:
        """The state of the worker that calls itself so, or an empty string when it is not listed."""
        return next((p.state for p in self.pollers or () if identity and p.identity == identity), "")


def near_miss(name: str, others: Iterable[str]) -> str | None:
    """The one of `others` that is most likely meant to be `name`: `mika_bot_task_queue`, `mika-bot-task-queue`."""
    plain = {_plain(other): other for other in others if other != name}
    if _plain(name) in plain:
        return plain[_plain(name)]
    found = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.8)
    return plain[found[0]] if found else None


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def seconds(value: float) -> str:
    """A duration for people."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.0f} h"
