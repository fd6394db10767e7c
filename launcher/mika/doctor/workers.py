"""What is known of the workers: who serves which task queue, and what has become of each."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from mika.address import join
from mika.diagnosis.model import FRESH, FRESH_EMBEDDED, Poller, ProcessState, Surroundings, WorkerCommands
from mika.diagnosis.survey import Queue, find_workers, look_at
from mika.diagnosis.untaken import pid_of
from mika.doctor.units import not_ok, reason_of
from mika.machine.local import environ_of, is_this_machine, process_state
from mika.status import StackStatus, UnitStatus

if TYPE_CHECKING:
    from mika.doctor.examination import Examination

_HUNG_BEAT = 3.0
_SUPERVISED = re.compile(r"(?P<name>[^@]+)@(?P<run>[0-9a-f]{16})-(?P<generation>\d+)")  # as the supervisor makes it


async def look_around(exam: Examination, also: Sequence[str] = ()) -> Surroundings:
    """The workers of our queues and of those in `also`; where one has none, also those that poll elsewhere."""
    queues, status = await exam.queues(), await exam.status()
    polled = {queue for process in await exam.processes() for queue in process.queues}
    serving = {queue: await _commands(exam, queue) for queue in queues if queue in polled}
    is_bot = await exam.is_bot()
    known = Surroundings(
        namespace=exam.namespace,
        address=join(exam.host, exam.port),
        queue=exam.queue if exam.queue in queues else "",
        run_timeout=exam.config.number("WORKFLOW_RUN_TIMEOUT") if is_bot else None,
        execution_timeout=exam.config.number("WORKFLOW_EXECUTION_TIMEOUT") if is_bot else None,
        worker=next(iter(serving.values())) if len(serving) == 1 else WorkerCommands(),
        serving=serving,
        process=lambda identity: _process_state(exam, identity, status),
    )
    around = await find_workers(
        await exam.temporal(),
        known,
        fresh=FRESH_EMBEDDED if exam.backend == "embedded" else FRESH,
        now=await exam.server_time(),
        process=known.process,
        also=(*queues, *also),
    )
    return replace(around, pollers=tuple(_named(exam, poller, status) for poller in around.pollers or ()))


async def look_at_queues(exam: Examination) -> tuple[Queue, ...]:
    """The task queues of this project, in order, and what waits in each. Needs a server with the namespace."""
    temporal, status, now = await exam.temporal(), await exam.status(), await exam.server_time()
    look = partial(
        look_at,
        temporal,
        fresh=FRESH_EMBEDDED if exam.backend == "embedded" else FRESH,
        now=now,
        process=lambda identity: _process_state(exam, identity, status),
    )
    return tuple(await asyncio.gather(*(look(queue) for queue in await exam.queues())))


async def units_of(exam: Examination, queue: str) -> tuple[UnitStatus, ...]:
    """The units of the running stack that are to poll this queue."""
    return await exam.units_named(*(process.name for process in await exam.processes() if queue in process.queues))


async def _commands(exam: Examination, queue: str) -> WorkerCommands:
    """Those for the process that serves the queue, as they fit how this stack was started."""
    processes = [process for process in await exam.processes() if queue in process.queues]
    several = tuple(process.name for process in processes) if len(processes) > 1 else ()
    if units := await units_of(exam, queue):
        broken = not_ok(units)
        first = broken or units[0]
        restart, logs = (f"mika restart {first.type}",), f"mika logs {first.name}"
        if broken is None:  # `mika start` would do nothing
            return WorkerCommands(restart, restart, logs=logs, processes=several)
        reason = reason_of(broken)
        return WorkerCommands(
            (f"mika start {broken.name}",), restart, logs=logs, down=reason.text, cure=reason.fix, processes=several
        )
    up = ("mika up",) if await exam.status() is None else ("mika down", "mika up")
    return WorkerCommands(up, by_hand=processes[0].command, processes=several)


def unit_of(exam: Examination, identity: str, status: StackStatus | None) -> UnitStatus | None:
    """The unit whose worker polls under this identity: ours, or `pid@host` of a process that it started."""
    if status is None or exam.run is None:
        return None
    if match := _SUPERVISED.fullmatch(identity):
        return status.unit(match["name"])
    pid = _pid_here(identity)
    environ = environ_of(pid) if pid else {}
    return status.unit(environ.get("MIKA_PROCESS", "")) if environ.get("MIKA_RUN_ID") == exam.run.run_id else None


def pid_of_worker(exam: Examination, identity: str, status: StackStatus | None) -> int | None:
    """The process of a worker, if it is one of this machine."""
    unit = unit_of(exam, identity, status) if _SUPERVISED.fullmatch(identity) else None
    return unit.pid if unit is not None else _pid_here(identity)


def _named(exam: Examination, poller: Poller, status: StackStatus | None) -> Poller:
    unit = unit_of(exam, poller.identity, status)
    return replace(poller, process=unit.name) if unit is not None else poller


def _pid_here(identity: str) -> int | None:
    """The pid in `pid@host` (Go adds another `@` and more), if that is this machine."""
    host = identity.partition("@")[2].partition("@")[0]
    return pid_of(identity) if is_this_machine(host) else None


def _process_state(exam: Examination, identity: str, status: StackStatus | None) -> ProcessState:
    """What this machine knows about a worker: the server's list keeps a killed one for minutes."""
    supervised = _SUPERVISED.fullmatch(identity)
    if supervised is None:
        pid = _pid_here(identity)
        return process_state(pid) if pid else ""
    unit = status.unit(supervised["name"]) if status is not None else None
    if exam.run is None or supervised["run"] != exam.run.run_id or unit is None:
        return "gone" if supervised["run"] in exam.folder.marks() else ""
    if unit.pid is None or environ_of(unit.pid).get("MIKA_WORKER_IDENTITY", identity) != identity:
        return "gone"  # or replaced by another one
    return process_state(unit.pid) or _beat(exam, unit.name)


def _beat(exam: Examination, name: str) -> ProcessState:
    with contextlib.suppress(OSError):
        if time.time() - (exam.folder.run / f"{name}.beat").stat().st_mtime > _HUNG_BEAT:
            return "hung"
    return ""
