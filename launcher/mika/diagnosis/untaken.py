"""Nobody takes a task: because there is no worker, or because the workers that live poll somewhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mika.diagnosis.model import Cause, Diagnosis, Poller, Surroundings, near_miss, seconds, workflow_command

if TYPE_CHECKING:
    from temporalio.api.workflow.v1 import WorkflowExecutionInfo


@dataclass(frozen=True, slots=True)
class Misplaced:
    """A living worker that polls somewhere else than where the task is.

    `value` is where it should be; `wrong`: in the worker, or in whatever starts the workflows. `setting` is empty if it
    is not known which one decides that.
    """

    cause: Cause
    worker: Poller
    wrong: Literal["worker", "starter"]
    setting: Literal["TEMPORAL_TASK_QUEUE", "TEMPORAL_NAMESPACE", ""]
    value: str

    @property
    def place(self) -> str:
        """Where the worker polls."""
        if self.cause == Cause.WRONG_NAMESPACE:
            return f"{self.worker.queue} in the namespace {self.worker.namespace}"
        return self.worker.queue

    @property
    def fix(self) -> str:
        if not self.setting:
            if self.wrong == "worker":
                return f"correct the task queue in that worker (it should be {self.value}), and start it again"
            return f"correct the task queue where the workflows are started: {self.value} has a worker"
        if self.wrong == "worker":
            return f"start that worker again with {self.setting}={self.value}"
        return f"set {self.setting}={self.value} for the process that starts the workflows, and restart that process"


def untaken(
    what: str, waited: float, info: WorkflowExecutionInfo, surroundings: Surroundings, *, queue: str = ""
) -> Diagnosis:
    """`what` has been waiting for `waited` seconds, and a healthy worker would have taken it.

    `info`: the WorkflowExecutionInfo. `queue`: that of an activity whose workflow code names one of its own.
    """
    own_queue, queue = bool(queue) and queue != info.task_queue, queue or info.task_queue
    surroundings = surroundings.around(queue)
    finding = f"no worker has taken {what} for {seconds(waited)}"
    evidence = _listed(queue, surroundings)
    misplaced = find_misplaced(queue, surroundings, waited=waited, own_queue=own_queue)
    if misplaced is not None:
        finding += f": it waits in {queue}, and {misplaced.worker.who} polls {misplaced.place}"
        # What already waits in the wrong queue stays there.
        lost = misplaced.wrong == "starter"
        fix = f"{misplaced.fix}; then {workflow_command('retry', info)}" if lost else misplaced.fix
        return Diagnosis(misplaced.cause, finding, evidence, fix)
    alive = surroundings.alive(surroundings.namespace, queue)
    stopped = [p for p in surroundings.at(surroundings.namespace, queue) if p.state == "stopped"]
    if stopped and not alive:
        pid = pid_of(stopped[0].identity) or "PID"
        return Diagnosis(
            Cause.WORKER_UNRESPONSIVE,
            f"{finding}: worker {stopped[0].who} is suspended (SIGSTOP)",
            evidence,
            f"resume it: `kill -CONT {pid}`, or {surroundings.worker.how_to_restart()}",
        )
    # A worker asks for more after each task, so one that asked a moment ago is busy with tasks that came earlier.
    busy = [poller for poller in alive if poller.age < min(waited, surroundings.patience)]
    if busy:
        return Diagnosis(Cause.RUNNING, f"{finding}: {busy[0].who} is busy with earlier tasks", evidence)
    worker = surroundings.worker
    finding += f": {worker.down}" if worker.down else ""
    return Diagnosis(Cause.NO_WORKER, f"{finding} (task queue {queue})", evidence, worker.how_to_start())


def find_misplaced(
    queue: str, surroundings: Surroundings, *, waited: float | None = None, own_queue: bool = False
) -> Misplaced | None:
    """The worker that should poll `queue` and polls somewhere else; None where there is no such worker.

    `waited`: seconds that a task has been in the queue. `own_queue`: the workflow's code names this queue, so that it
    need not be the configured one.
    """
    if surroundings.pollers is None:
        return None
    # A worker that polled last before the task came, and did not get it, is gone, however fresh it looks.
    if any(waited is None or p.age < waited for p in surroundings.alive(surroundings.namespace, queue)):
        return None
    alive = [poller for poller in surroundings.pollers if poller.state == "alive"]
    own, is_own = surroundings.queues, queue in surroundings.queues
    here = {poller.queue: poller for poller in alive if poller.namespace == surroundings.namespace}
    # Where the queue has a process of its own, that of another one of the project's queues is where it should be.
    near = near_miss(queue, here.keys() - own if queue in surroundings.serving else here)
    if near is None and not own_queue and not is_own and len(own) == 1:
        near = next(iter(own & here.keys()), None)
    if near is not None:
        value = queue if is_own else near
        return Misplaced(
            Cause.WRONG_TASK_QUEUE,
            here[near],
            "worker" if is_own else "starter",
            "TEMPORAL_TASK_QUEUE" if value == surroundings.queue else "",
            value,
        )
    for poller in alive:
        if poller.namespace != surroundings.namespace and poller.queue == queue:
            return Misplaced(Cause.WRONG_NAMESPACE, poller, "worker", "TEMPORAL_NAMESPACE", surroundings.namespace)
    return None


def _listed(queue: str, surroundings: Surroundings) -> tuple[str, ...]:
    """The evidence: who is listed for the queue, and some of those that poll elsewhere."""
    if surroundings.pollers is None:
        return ()
    own_place = (surroundings.namespace, queue)
    lines = [f"{queue}: {describe(poller)}" for poller in surroundings.at(*own_place)]
    others = [p for p in surroundings.pollers if p.state == "alive" and (p.namespace, p.queue) != own_place]
    elsewhere = [f"namespace {p.namespace}, queue {p.queue}: {describe(p)}" for p in others[:3]]
    return (*(lines or [f"nobody is listed as polling {queue}"]), *elsewhere)


def describe(poller: Poller) -> str:
    """A poller in a line of evidence."""
    last_seen = f"last seen {seconds(poller.age)} ago"
    who = poller.who
    match poller.state:
        case "gone":
            return f"{who} is still listed ({last_seen}), but its process is gone"
        case "stopped":
            return f"{who} is listed ({last_seen}), but its process is suspended"
        case "hung":
            return f"{who} is listed ({last_seen}), but its event loop does not run"
        case "stale":
            return f"{who} is listed, but {last_seen}: it is gone"
        case "alive":
            only = "" if poller.workflows and poller.activities else _only(poller)
            return f"{who} polls{only}, {last_seen}"


def _only(poller: Poller) -> str:
    return " only workflow tasks" if poller.workflows else " only activities"


def pid_of(identity: str) -> int | None:
    """The process id in the SDK's default identity, `pid@host`, also after a prefix: `mika-worker/12@host`."""
    number = identity.partition("@")[0].rpartition("/")[2]
    return int(number) if number.isdecimal() else None
