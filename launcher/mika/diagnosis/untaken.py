"""Nobody takes a task: because no worker is there, or because the workers that are there look elsewhere."""

from __future__ import annotations

from mika.diagnosis.model import RETRY, Cause, Diagnosis, Poller, Surroundings, near_miss, seconds


def untaken(what: str, age: float, queue: str, around: Surroundings, *, own_queue: bool = False) -> Diagnosis:
    """`what` waits in `queue` for `age` seconds, and a healthy worker would have taken it.

    `own_queue`: an activity whose queue the workflow's code names, so that it need not be the configured one.
    """
    waits = f"no worker has taken {what} for {seconds(age)}"
    elsewhere = misplaced(queue, around, waited=age, own_queue=own_queue)
    if elsewhere:
        cause, finding, fix = elsewhere
        return Diagnosis(cause, f"{waits}: {finding}", _listed(queue, around), fix)
    there = around.at(around.namespace, queue)
    stopped = [poller for poller in there if poller.state == "stopped"]
    if stopped and not around.alive(around.namespace, queue):
        return Diagnosis(
            Cause.WORKER_UNRESPONSIVE,
            f"{waits}: worker {stopped[0].identity} is suspended (SIGSTOP)",
            _listed(queue, around),
            f"let it go on (`kill -CONT {pid_of(stopped[0].identity) or 'PID'}`), or {around.restart_worker}",
        )
    # A worker asks for more after each task that it has done, so one that asked a moment ago has others to do first.
    busy = [p for p in around.alive(around.namespace, queue) if p.age < min(age, around.patience)]
    if busy:
        return Diagnosis(
            Cause.RUNNING, f"{waits}: {busy[0].identity} has others to do first", _listed(queue, around), ""
        )
    return Diagnosis(Cause.NO_WORKER, f"{waits} (task queue {queue})", _listed(queue, around), f"{around.start_worker}")


def misplaced(
    queue: str, around: Surroundings, *, waited: float | None = None, own_queue: bool = False
) -> tuple[Cause, str, str] | None:
    """Workers that are alive, but not where the task is: cause, finding and fix. None when there are none."""
    if around.pollers is None:
        return None
    # Who polled last before the task came, and did not get it, is gone, however fresh it looks.
    if any(waited is None or p.age < waited for p in around.alive(around.namespace, queue)):
        return None
    alive = [p for p in around.pollers if p.state == "alive"]
    here = {p.queue: p.identity for p in alive if p.namespace == around.namespace}
    near = near_miss(queue, here)
    if near is None and not own_queue and around.queue != queue and around.queue in here:
        near = around.queue
    if near is not None:
        if queue == around.queue:
            fix = f"give that worker the right name and start it again: TEMPORAL_TASK_QUEUE={queue}"
        else:
            fix = f"set TEMPORAL_TASK_QUEUE={near} where it is started (the API) and restart that; then {RETRY}"
        return Cause.WRONG_TASK_QUEUE, f"it waits in {queue}, and {here[near]} polls {near}", fix
    for poller in alive:
        if poller.namespace != around.namespace and poller.queue == queue:
            finding = f"worker {poller.identity} polls {queue} in the namespace {poller.namespace}"
            fix = f"start that worker with TEMPORAL_NAMESPACE={around.namespace} (it has {poller.namespace})"
            return Cause.WRONG_NAMESPACE, finding, fix
    return None


def _listed(queue: str, around: Surroundings) -> tuple[str, ...]:
    if around.pollers is None:
        return ()
    there = around.at(around.namespace, queue)
    lines = [f"{queue}: {describe(poller)}" for poller in there] or [f"nobody is listed as polling {queue}"]
    others = [p for p in around.pollers if p.state == "alive" and (p.namespace, p.queue) != (around.namespace, queue)]
    lines += [f"namespace {p.namespace}, queue {p.queue}: {describe(p)}" for p in others[:3]]
    return tuple(lines)


def describe(poller: Poller) -> str:
    """A poller in a line of evidence."""
    seen = f"last seen {seconds(poller.age)} ago"
    match poller.state:
        case "gone":
            return f"{poller.identity} is still listed ({seen}), but its process is gone"
        case "stopped":
            return f"{poller.identity} is listed ({seen}), but its process is suspended"
        case "stale":
            return f"{poller.identity} is listed, but {seen}: it is gone"
    missing = "" if poller.workflows and poller.activities else _half(poller)
    return f"{poller.identity} polls{missing}, {seen}"


def _half(poller: Poller) -> str:
    return " only workflow tasks" if poller.workflows else " only activities"


def pid_of(identity: str) -> int | None:
    """The process id in the SDK's default identity, `pid@host`, also behind a prefix: `mika-worker/12@host`."""
    number = identity.partition("@")[0].rpartition("/")[2]
    return int(number) if number.isdecimal() else None
