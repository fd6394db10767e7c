"""Workflows by name: find one, judge it, list the latest, and cancel, terminate or retry one."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mika.diagnosis import proto
from mika.diagnosis.model import Cause, Diagnosis
from mika.diagnosis.survey import diagnose
from mika.diagnosis.temporal import literal
from mika.diagnosis.timeline import Entry, timeline
from mika.diagnosis.workflow import classify
from mika.doctor.checks.worker import worker
from mika.doctor.examination import Examination
from mika.errors import MikaError, UsageError

if TYPE_CHECKING:
    from temporalio.service import RPCError

_PAGE = 100
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Story:
    """One workflow, judged. `namespace` is where it was found."""

    id: str
    run_id: str
    status: str
    age: float | None
    ui: str | None
    diagnosis: Diagnosis
    timeline: tuple[Entry, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        age = None if self.age is None else round(self.age, 1)
        return {
            "version": 1,
            "workflow": {"id": self.id, "run_id": self.run_id, "status": self.status, "age_s": age, "ui": self.ui},
            "cause": str(self.diagnosis.cause),
            "finding": self.diagnosis.finding,
            "evidence": list(self.diagnosis.evidence),
            "fix": self.diagnosis.fix,
            "timeline": [{"after_s": round(entry.after, 3), "text": entry.text} for entry in self.timeline],
        }


async def connect(x: Examination) -> None:
    """Raises MikaError where there is no Temporal to ask."""
    server = await x.server()
    if not server.up:
        raise MikaError(
            f"no Temporal server at {server.address}: {server.detail}",
            "`mika doctor` says why",
            code="temporal_unavailable",
        )
    error = await x.namespace_error()
    if error is not None:
        reason = error or f"Temporal at {server.address} has no namespace {x.namespace!r}"
        raise MikaError(reason, "`mika doctor` says what to do", code="namespace_missing")


async def investigate(x: Examination, wanted: str, *, payloads: bool = False) -> Story:
    """The story of `wanted`: an id, a unique prefix of one, or `last`. Raises MikaError for a prefix of several."""
    from temporalio.service import RPCError

    if not wanted.strip():  # as a prefix it would fit the only workflow of a namespace, which nobody meant
        raise UsageError("the id of the workflow is empty", "give its id, the beginning of it, or `last`")
    await connect(x)
    temporal = await x.temporal()
    now = time.time() + await x.skew()
    workflow_id = await _last(x) if wanted == "last" else wanted
    if not workflow_id:
        return _not_found(wanted, f"no workflow was ever started in the namespace {x.namespace}", ())
    surroundings = await x.surroundings()
    for attempt in ("id", "prefix"):
        try:
            description = await temporal.describe(workflow_id)
        except RPCError as error:
            if not _is_unknown(error):
                raise MikaError(f"Temporal does not answer: {error}", code="temporal_unavailable") from None
            match = await _by_prefix(x, wanted) if attempt == "id" else None
            if match is None:
                return await _nowhere(x, wanted)
            workflow_id = match
        else:
            break
    info = description.workflow_execution_info
    events = await temporal.first_events(info.execution)
    if info.task_queue not in ("", x.queue):
        surroundings = await x.surroundings_with([info.task_queue])
    diagnosis = await _with_what_is_known_here(x, classify(description, events, surroundings, now=now))
    return Story(
        workflow_id,
        info.execution.run_id,
        proto.STATUS.get(info.status, str(info.status)),
        max(0.0, now - proto.at(info.start_time)),
        ui_link(x, workflow_id, info.execution.run_id),
        diagnosis,
        tuple(timeline(description, events, now=now, payloads=payloads)),
    )


def _is_unknown(error: RPCError) -> bool:
    """No workflow has that id, or it cannot be one."""
    from temporalio.service import RPCStatusCode

    return error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT)


async def _with_what_is_known_here(x: Examination, diagnosis: Diagnosis) -> Diagnosis:
    """The server cannot see why nobody takes a task; this machine can: stopped, suspended, gave up."""
    if diagnosis.cause != Cause.NO_WORKER:
        return diagnosis
    check = await worker(x)
    if check.status != "fail":
        return diagnosis
    return replace(diagnosis, evidence=(*diagnosis.evidence, check.finding), fix=check.fix or diagnosis.fix)


def ui_link(x: Examination, workflow_id: str, run_id: str) -> str:
    return f"{x.ui_url}/namespaces/{quote(x.namespace, '')}/workflows/{quote(workflow_id, '')}/{run_id}/history"


async def _last(x: Examination) -> str:
    """The server lists running ones first, so the latest start is looked for in a page."""
    infos = await (await x.temporal()).workflows(most=_PAGE)
    newest = max(infos, key=lambda info: proto.at(info.start_time), default=None)
    return str(newest.execution.workflow_id) if newest is not None else ""


async def _by_prefix(x: Examination, prefix: str, namespace: str = "") -> str | None:
    """The only id that begins with `prefix`, None when there is none."""
    from temporalio.service import RPCError

    temporal = (await x.temporal()).in_namespace(namespace or x.namespace)
    try:
        infos = await temporal.workflows(f"WorkflowId STARTS_WITH {literal(prefix)}", 20)
    except RPCError:  # servers before 1.23 do not know STARTS_WITH
        infos = [i for i in await temporal.workflows(most=1000) if i.execution.workflow_id.startswith(prefix)]
    ids = sorted({str(info.execution.workflow_id) for info in infos})
    if len(ids) > 1:
        raise MikaError(
            f"{len(ids)} workflows begin with {prefix!r}: {', '.join(ids[:3])}{', ...' if len(ids) > 3 else ''}",
            "give more of the id",
            code="ambiguous",
        )
    return ids[0] if ids else None


async def _nowhere(x: Examination, wanted: str) -> Story:
    from temporalio.service import RPCError

    try:
        others = [name for name in await (await x.temporal()).namespaces() if name != x.namespace]
        matches = await asyncio.gather(*(_by_prefix(x, wanted, name) for name in others), return_exceptions=True)
    except RPCError:
        others, matches = [], []
    for name, workflow_id in zip(others, matches, strict=True):
        if isinstance(workflow_id, str):
            return _not_found(
                wanted,
                f"it is in the namespace {name}, and TEMPORAL_NAMESPACE is {x.namespace}",
                (f"namespace {name}: {workflow_id}",),
                f"set TEMPORAL_NAMESPACE={name} where it should be visible, and start that again",
            )
    return _not_found(wanted, f"no workflow with that id, or beginning with it, in the namespace {x.namespace}", ())


def _not_found(wanted: str, finding: str, evidence: tuple[str, ...], fix: str = "") -> Story:
    fix = fix or "`mika workflows` lists the latest; one that ended before the retention (1 to 3 days) is deleted"
    return Story(wanted, "", "not_found", None, None, Diagnosis(Cause.NOT_FOUND, finding, evidence, fix))


# --- the list ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """One line of `mika workflows`. `age` in seconds since its start, `took` until its end."""

    id: str
    type: str
    queue: str
    status: str
    age: float
    took: float | None
    diagnosis: Diagnosis

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": self.type,
            "queue": self.queue,
            "status": self.status,
            "age_s": round(self.age, 1),
            "took_s": None if self.took is None else round(self.took, 1),
            "cause": str(self.diagnosis.cause),
            "finding": self.diagnosis.finding,
        }


async def latest(x: Examination, count: int, *, failed: bool = False, running: bool = False) -> list[Row]:
    """The latest workflows of the namespace, newest first."""
    await connect(x)
    conditions = []
    if failed:
        conditions.append("ExecutionStatus IN ('Failed', 'TimedOut', 'Terminated', 'Canceled')")
    if running:
        conditions.append("ExecutionStatus = 'Running'")
    temporal, surroundings = await x.temporal(), await x.surroundings()
    infos = await temporal.workflows(" OR ".join(conditions), max(count, _PAGE))
    newest = sorted(infos, key=lambda info: proto.at(info.start_time), reverse=True)[:count]
    now = time.time() + await x.skew()
    gate = asyncio.Semaphore(_AT_ONCE)

    async def row(info: Any) -> Row:
        async with gate:
            diagnosis = await diagnose(temporal, info.execution, surroundings, now=now)
        started, closed = proto.at(info.start_time), proto.at(info.close_time)
        return Row(
            info.execution.workflow_id,
            info.type.name,
            info.task_queue,
            proto.STATUS.get(info.status, str(info.status)),
            max(0.0, now - started),
            closed - started if closed else None,
            diagnosis,
        )

    return list(await asyncio.gather(*(row(info) for info in newest)))


# --- doing something about one ----------------------------------------------------------------------------------------


async def find(x: Examination, wanted: str) -> Any:
    """The description of an id, a unique prefix or `last`. Raises MikaError `not_found`."""
    story = await investigate(x, wanted)
    if story.diagnosis.cause == Cause.NOT_FOUND:
        raise MikaError(f"{wanted}: {story.diagnosis.finding}", story.diagnosis.fix, code="not_found")
    return await (await x.temporal()).describe(story.id, story.run_id)


async def stop(x: Examination, description: Any, *, force: bool) -> None:
    """Ask it to cancel itself, or (`force`) end it without asking."""
    temporal, execution = await x.temporal(), description.workflow_execution_info.execution
    await (temporal.terminate(execution) if force else temporal.request_cancel(execution))


async def retry(x: Examination, description: Any) -> tuple[str, str]:
    """Start it again with the same input under a new id; returns that and the queue.

    It goes into its old queue, unless only the configured one has a worker; its time-outs are the old ones, unless the
    configuration gives it more.
    """
    temporal, execution = await x.temporal(), description.workflow_execution_info.execution
    started = (await temporal.first_events(execution))[0].workflow_execution_started_event_attributes
    surroundings, queue = await x.surroundings(), started.task_queue.name
    if queue != x.queue and not surroundings.alive(x.namespace, queue) and surroundings.alive(x.namespace, x.queue):
        queue = x.queue

    def longer(old: float, setting: str) -> float:
        configured = x.config.number(setting) if queue == x.queue else 0.0
        return max(old, configured) if old else 0.0

    new_id = f"{execution.workflow_id}-retry-{secrets.token_hex(3)}"
    await temporal.start_again(
        started,
        new_id,
        queue,
        run_timeout=longer(proto.span(started.workflow_run_timeout), "WORKFLOW_RUN_TIMEOUT"),
        execution_timeout=longer(proto.span(started.workflow_execution_timeout), "WORKFLOW_EXECUTION_TIMEOUT"),
    )
    return new_id, queue
