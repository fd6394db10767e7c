"""What a diagnosis is made of."""

from __future__ import annotations

import difflib
from dataclasses import field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from mika.diagnosis.commands import for_workflow
from mika.frozen import frozen
from mika.wording import _, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from temporalio.api.workflow.v1 import WorkflowExecutionInfo

PATIENCE = 3.0
"""Seconds after which a task that nobody took or answered is no longer normal: a healthy worker needs 0.3 s."""

FRESH = 70.0
"""Seconds since its last poll for which a worker counts as alive: an idle one renews its poll once a minute."""

FRESH_EMBEDDED = 9.0
"""The same on mika's embedded server, which ends an idle poll after 5 s."""

# The types of the errors that the bot's activities raise. They are stored in histories: rename none.
LLM_ERROR, LLM_TIMEOUT, HISTORY_ERROR = "LlmError", "LlmTimeout", "HistoryError"
NOT_SENT, LANGBOT_DOWN, ONEBOT_DOWN = "NotSentError", "LangBotDown", "OneBotDown"


class Cause(StrEnum):
    """Stable identifiers; scripts may rely on them."""

    HEALTHY = "healthy"
    RUNNING = "running"
    NO_WORKER = "no_worker"
    WORKER_UNRESPONSIVE = "worker_unresponsive"
    WORKER_KILLED = "worker_killed"
    SLOW = "slow"
    ACTIVITY_RETRYING = "activity_retrying"
    NEXUS_RETRYING = "nexus_retrying"
    ACTIVITY_PAUSED = "activity_paused"
    ACTIVITY_FAILED = "activity_failed"
    TIMED_OUT_NO_WORKER = "timed_out_no_worker"
    TIMED_OUT_SLOW = "timed_out_slow"
    OVERLOADED = "overloaded"
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
        Cause.ACTIVITY_PAUSED,
    }
)
"""It is running, and it will get nowhere without help."""
TROUBLED = HANGING | {Cause.SLOW, Cause.WORKER_KILLED, Cause.ACTIVITY_RETRYING, Cause.NEXUS_RETRYING}
"""It is running, and something is wrong, which may pass."""


@frozen
class Diagnosis:
    """`finding` and `fix` are one sentence each; `fix` is empty where there is nothing to fix.

    `queue`: the task queue of what nobody takes; empty where it is about something else.
    """

    cause: Cause
    finding: str
    evidence: tuple[str, ...] = ()
    fix: str = ""
    queue: str = ""


ProcessState = Literal["gone", "stopped", "hung", ""]
"""What a caller knows about the process of a worker: it has exited, is suspended, or its event loop does not run."""


def process_unknown(_identity: str) -> ProcessState:
    return ""


@frozen
class Version:
    """One of a worker deployment."""

    deployment: str
    build: str


@frozen
class Poller:
    """One worker process as the server lists it. `age`: seconds since it was last seen, on the older of its queues.

    The server's list keeps a killed worker for minutes. `state` is `stale` when it has not been seen for longer than a
    poll lasts; `gone`, `stopped` and `hung` as in ProcessState. `process`: its name in the Procfile, if that is known.
    `version`: that of its deployment, None without versioning; `is_current`: it gets what is not pinned to a version.
    """

    identity: str
    namespace: str
    queue: str
    age: float
    workflows: bool
    activities: bool
    state: Literal["alive", "stale", "gone", "stopped", "hung"] = "alive"
    process: str = ""
    version: Version | None = None
    is_current: bool = True

    @property
    def who(self) -> str:
        """What people know it by, and its identity."""
        is_told = not self.process or self.identity.startswith(self.process)
        return self.identity if is_told else f"{self.process} ({self.identity})"


@frozen
class WorkerCommands:
    """Command lines for the worker of a project, as they can be pasted. Empty where none is known."""

    start: tuple[str, ...] = ()
    """Run one after the other, they start it."""
    restart: tuple[str, ...] = ()
    by_hand: str = ""
    """Runs it in the terminal, without mika."""
    logs: str = ""
    """Shows what it wrote."""
    down: str = ""
    """Why it does not run, where that is known: `mail was stopped`."""
    cure: str = ""
    """What to do about that."""
    processes: tuple[str, ...] = ()
    """Those that poll the queue, where they are several: each of them gets any of its tasks."""

    def how_to_start(self, *, may_hang: bool = False) -> str:
        """A clause for a fix. `may_hang`: one may still be there, so it is to be restarted."""
        if self.cure:
            return self.cure
        if not self.start:
            return (
                _("start a worker: by hand `{command}`", command=self.by_hand) if self.by_hand else _("start a worker")
            )
        commands = _quoted(self.restart if may_hang and self.restart else self.start)
        if not self.by_hand:
            return _("start a worker: {commands}", commands=commands)
        return _("start a worker: {commands}, or by hand `{by_hand}`", commands=commands, by_hand=self.by_hand)

    def how_to_restart(self) -> str:
        """A clause for a fix."""
        by_hand = _("stop its process and start it again")
        if self.by_hand:
            by_hand = _("stop its process and start it again: `{command}`", command=self.by_hand)
        if not self.restart:
            return by_hand
        restart = _("restart it: {commands}", commands=_quoted(self.restart))
        return _("{way}, or {other_way}", way=restart, other_way=by_hand) if self.by_hand else restart

    def then_restart(self) -> str:
        """The last step of a fix that changes the worker's code."""
        return _("then {commands}", commands=_quoted(self.restart)) if self.restart else _("then restart the worker")

    def apart_or_alike(self, what: str, again: str) -> str:
        """The fix where one of the `processes` does not have `what`; `again`: what follows it."""
        restart = self.then_restart()
        if self.restart:
            restart = _("then {commands}", commands=f"`mika restart {' '.join(self.processes)}`")
        return _(
            "{processes} poll the same task queue, and each gets any of its tasks: register {what} in all of them, or"
            " give each a task queue of its own, {restart}{then}",
            processes=listed(self.processes),
            what=what,
            restart=restart,
            then=again,
        )


def _quoted(commands: tuple[str, ...]) -> str:
    text = ""
    for command in commands:
        quoted = f"`{command}`"
        text = _("{commands} and {command}", commands=text, command=quoted) if text else quoted
    return text


@frozen
class Crowd:
    """What else was in a workflow's task queue while it was open: `before` were open when it was started, `completed`
    were completed until it ended, `span` seconds later.
    """

    before: int
    completed: int
    span: float

    @property
    def rate(self) -> float:
        """Per second."""
        return self.completed / self.span if self.span else 0.0


@frozen
class Surroundings:
    """What is known beside the workflow. `pollers` is None where nobody asked; times are in seconds."""

    namespace: str = "default"
    address: str = ""
    """Of the server; empty: not known."""
    queue: str = ""
    """The task queue of the configuration."""
    pollers: tuple[Poller, ...] | None = None
    patience: float = PATIENCE
    run_timeout: float | None = None
    execution_timeout: float | None = None
    worker: WorkerCommands = field(default_factory=WorkerCommands)
    """For a queue that is not in `serving`."""
    serving: Mapping[str, WorkerCommands] = field(default_factory=dict)
    """By task queue, for the process that is to poll it."""
    crowd: Crowd | None = None
    """Around one workflow that nobody took in time; None where nobody asked."""
    process: Callable[[str], ProcessState] = process_unknown
    """What is known of the process behind an identity, also of one that is not listed any more."""

    @property
    def queues(self) -> frozenset[str]:
        """The task queues of this project."""
        return frozenset({self.queue, *self.serving} - {""})

    def is_served(self, queue: str) -> bool:
        """Whether a process of this project is to poll it; also True where nobody knows what they poll."""
        return not self.serving or queue in self.serving

    def around(self, queue: str) -> Surroundings:
        """The same, with the commands for the worker of this queue."""
        return replace(self, worker=self.serving.get(queue, self.worker))

    def alive(self, namespace: str, queue: str) -> list[Poller]:
        """Workers that take tasks there now."""
        return [poller for poller in self.at(namespace, queue) if poller.state == "alive"]

    def at(self, namespace: str, queue: str) -> list[Poller]:
        return [poller for poller in self.pollers or () if (poller.namespace, poller.queue) == (namespace, queue)]

    def state_of(self, identity: str) -> str:
        """The state of the worker with that identity; empty when nothing is known."""
        if not identity:
            return ""
        listed = (poller.state for poller in self.pollers or () if poller.identity == identity)
        return next(listed, self.process(identity))


def workflow_command(verb: Literal["retry", "terminate"], info: WorkflowExecutionInfo) -> str:
    """The command, quoted, for the workflow of a WorkflowExecutionInfo."""
    return for_workflow(f"workflows {verb}", info.execution.workflow_id)


def near_miss(name: str, others: Iterable[str]) -> str | None:
    """The one of `others` that is most likely meant to be `name`: `mika_bot_task_queue`, `mika-bot-task-queue`."""
    plain = {_plain(other): other for other in others if other != name}
    if _plain(name) in plain:
        return plain[_plain(name)]
    nearest = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.8)
    return plain[nearest[0]] if nearest else None


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def seconds(value: float) -> str:
    """A duration for people."""
    if value < 10:
        return _("{value:.1f} s", value=value)
    if value < 120:
        return _("{value:.0f} s", value=value)
    return _("{value:.0f} min", value=value / 60) if value < 7200 else _("{value:.0f} h", value=value / 3600)
