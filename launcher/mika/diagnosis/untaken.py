"""Nobody takes a task: because there is no worker, or because the workers that live poll somewhere else."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

from mika.diagnosis.model import Cause, Diagnosis, Poller, Surroundings, near_miss, seconds, workflow_command
from mika.diagnosis.versions import of_another_version, of_other_versions
from mika.frozen import frozen
from mika.wording import _

if TYPE_CHECKING:
    from temporalio.api.workflow.v1 import WorkflowExecutionInfo

SUSPENDED = _("suspended") if sys.platform == "win32" else _("suspended (SIGSTOP)")


@frozen
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
            return _("{queue} in the namespace {namespace}", queue=self.worker.queue, namespace=self.worker.namespace)
        return self.worker.queue

    @property
    def fix(self) -> str:
        if not self.setting:
            if self.wrong == "worker":
                return _(
                    "correct the task queue in that worker (it should be {queue}), and start it again",
                    queue=self.value,
                )
            return _("correct the task queue where the workflows are started: {queue} has a worker", queue=self.value)
        setting = f"{self.setting}={self.value}"
        if self.wrong == "worker":
            return _("start that worker again with {setting}", setting=setting)
        return _("set {setting} for the process that starts the workflows, and restart that process", setting=setting)


def untaken(
    what: str, waited: float, info: WorkflowExecutionInfo, surroundings: Surroundings, *, queue: str = ""
) -> Diagnosis:
    """`what` has been waiting for `waited` seconds, and a healthy worker would have taken it.

    `info`: the WorkflowExecutionInfo. `queue`: that of an activity whose workflow code names one of its own.
    """
    own_queue, queue = names_own_queue(info, queue), queue or info.task_queue
    surroundings = surroundings.around(queue)
    finding = _("no worker has taken {what} for {time}", what=what, time=seconds(waited))
    evidence = _listed(queue, surroundings)
    if queue == info.task_queue and (others := of_other_versions(info, queue, surroundings)):
        return of_another_version(finding, evidence, others[0], info, surroundings)
    misplaced = find_misplaced(queue, surroundings, waited=waited, own_queue=own_queue)
    if misplaced is not None:
        finding += _(
            ": it waits in {queue}, and {worker} polls {place}",
            queue=queue,
            worker=misplaced.worker.who,
            place=misplaced.place,
        )
        fix = misplaced.fix
        if misplaced.wrong == "starter":  # what already waits in the wrong queue stays there
            fix = _("{fix}; then {retry}", fix=fix, retry=workflow_command("retry", info))
        return Diagnosis(misplaced.cause, finding, evidence, fix)
    alive = surroundings.alive(surroundings.namespace, queue)
    stopped = [p for p in surroundings.at(surroundings.namespace, queue) if p.state == "stopped"]
    if stopped and not alive:
        return Diagnosis(
            Cause.WORKER_UNRESPONSIVE,
            _("{finding}: worker {worker} is {suspended}", finding=finding, worker=stopped[0].who, suspended=SUSPENDED),
            evidence,
            how_to_resume(pid_of(stopped[0].identity), surroundings.worker.how_to_restart()),
        )
    # A worker asks for more after each task, so one that asked a moment ago is busy with tasks that came earlier.
    busy = [poller for poller in alive if poller.age < min(waited, surroundings.patience)]
    if busy:
        finding = _("{finding}: {worker} is busy with earlier tasks", finding=finding, worker=busy[0].who)
        return Diagnosis(Cause.RUNNING, finding, evidence)
    if not surroundings.is_served(queue):
        finding = _("{finding} (task queue {queue})", finding=finding, queue=queue)
        return Diagnosis(Cause.NO_WORKER, finding, evidence, serve(queue, own_queue=own_queue), queue)
    worker = surroundings.worker
    if worker.down:
        finding = _("{finding}: {why}", finding=finding, why=worker.down)
    finding = _("{finding} (task queue {queue})", finding=finding, queue=queue)
    # One that polled last before the task came has died, or hangs: from here that cannot be told apart.
    return Diagnosis(Cause.NO_WORKER, finding, evidence, worker.how_to_start(may_hang=bool(alive)), queue)


def names_own_queue(info: WorkflowExecutionInfo, queue: str = "") -> bool:
    """Whether code names the task queue, that of a parent or, for the `queue` of an activity, the workflow's own."""
    return queue != info.task_queue if queue else info.HasField("parent_execution")


def serve(queue: str, *, own_queue: bool) -> str:
    """The fix, where no process of this project is to poll the queue."""
    if own_queue:
        return _(
            "the settings name no process that polls {queue}: start a worker that does, or correct the task queue in"
            " the code of the workflow that names it",
            queue=queue,
        )
    return _(
        "the settings name no process that polls {queue}: start a worker that does, or start the workflow in another"
        " task queue",
        queue=queue,
    )


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
    lines = [_("{queue}: {poller}", queue=queue, poller=describe(p)) for p in surroundings.at(*own_place)]
    others = [p for p in surroundings.pollers if p.state == "alive" and (p.namespace, p.queue) != own_place]
    elsewhere = [
        _(
            "namespace {namespace}, queue {queue}: {poller}",
            namespace=p.namespace,
            queue=p.queue,
            poller=describe(p),
        )
        for p in others[:3]
    ]
    return (*(lines or [_("nobody is listed as polling {queue}", queue=queue)]), *elsewhere)


def describe(poller: Poller) -> str:
    """A poller in a line of evidence."""
    who, time = poller.who, seconds(poller.age)
    match poller.state:
        case "gone":
            return _("{worker} is still listed (last seen {time} ago), but its process is gone", worker=who, time=time)
        case "stopped":
            return _("{worker} is listed (last seen {time} ago), but its process is suspended", worker=who, time=time)
        case "hung":
            return _(
                "{worker} is listed (last seen {time} ago), but its event loop does not run", worker=who, time=time
            )
        case "stale":
            return _("{worker} is listed, but last seen {time} ago: it is gone", worker=who, time=time)
        case "alive" if poller.workflows and poller.activities:
            return _("{worker} polls, last seen {time} ago", worker=who, time=time)
        case "alive" if poller.workflows:
            return _("{worker} polls only workflow tasks, last seen {time} ago", worker=who, time=time)
        case "alive":
            return _("{worker} polls only activities, last seen {time} ago", worker=who, time=time)


def how_to_resume(pid: int | None, restart: str, platform: str = sys.platform) -> str:
    """Windows has no command that resumes a process; to restart it helps there, too."""
    if platform == "win32":
        return restart
    return _("resume it: `kill -CONT {pid}`, or {restart}", pid=str(pid or "PID"), restart=restart)


def pid_of(identity: str) -> int | None:
    """The process id in the SDK's default identity, `pid@host`, also after a prefix: `mika-worker/12@host`."""
    number = identity.partition("@")[0].rpartition("/")[2]
    return int(number) if number.isdecimal() else None
