"""Workflows by name: find one, judge it, list the latest, and cancel, terminate or retry one."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from mika.diagnosis import ask, proto
from mika.diagnosis.model import Cause, Diagnosis
from mika.diagnosis.timeline import Entry, timeline
from mika.diagnosis.workflow import classify
from mika.doctor.checks.worker import worker
from mika.doctor.examination import Examination
from mika.errors import MikaError, UsageError

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
    from temporalio.service import RPCError, RPCStatusCode

    if not wanted.strip():  # as a prefix it would fit the only workflow of a namespace, which nobody meant
        raise UsageError("the id of the workflow is empty", "give its id, the beginning of it, or `last`")
    await connect(x)
    service = (await x.server()).service
    now = time.time() + await x.skew()
    workflow_id = await _last(x) if wanted == "last" else wanted
    if not workflow_id:
        return _not_found(wanted, f"no workflow was ever started in the namespace {x.namespace}", ())
    around = await x.around()
    for attempt in ("id", "prefix"):
        try:
            description = await ask.describe(service, x.namespace, workflow_id)
        except RPCError as error:
            if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
                raise MikaError(f"Temporal does not tell: {error}", code="temporal_unavailable") from None
            match = await _by_prefix(x, wanted) if attempt == "id" else None
            if match is None:
                return await _nowhere(x, wanted)
            workflow_id = match
        else:
            break
    info = description.workflow_execution_info
    events = await ask.history(service, x.namespace, info.execution, whole=True)
    if info.task_queue not in ("", x.queue):
        around = await x.look_around([info.task_queue])
    found = await _with_what_is_known_here(x, classify(description, events, around, now=now))
    entries = timeline(description, events, now=now, payloads=payloads)
    return Story(
        workflow_id,
        info.execution.run_id,
        proto.STATUS.get(info.status, str(info.status)),
        max(0.0, now - proto.at(info.start_time)),
        ui_link(x, workflow_id, info.execution.run_id),
        found,
        tuple(entries),
    )


async def _with_what_is_known_here(x: Examination, found: Diagnosis) -> Diagnosis:
    """The server cannot see why nobody takes a task; this machine can: stopped, suspended, gave up."""
    if found.cause != "no_worker":
        return found
    here = await worker(x)
    if here.status != "fail":
        return found
    return replace(found, evidence=(*found.evidence, here.finding), fix=here.fix or found.fix)


def ui_link(x: Examination, workflow_id: str, run_id: str) -> str:
    return f"{x.ui_url}/namespaces/{quote(x.namespace, '')}/workflows/{quote(workflow_id, '')}/{run_id}/history"


async def _list(x: Examination, query: str, most: int, namespace: str = "") -> Sequence[Any]:
    from temporalio.api.workflowservice.v1 import ListWorkflowExecutionsRequest

    request = ListWorkflowExecutionsRequest(namespace=namespace or x.namespace, page_size=most, query=query)
    answer = await (await x.server()).service.list_workflow_executions(request, timeout=ask.RPC_TIMEOUT, retry=False)
    return answer.executions


async def _last(x: Examination) -> str:
    """The server lists running ones first, so the latest start is looked for in a page."""
    found = await _list(x, "", _PAGE)
    newest = max(found, key=lambda info: proto.at(info.start_time), default=None)
    return str(newest.execution.workflow_id) if newest is not None else ""


async def _by_prefix(x: Examination, prefix: str, namespace: str = "") -> str | None:
    """The only id that begins with `prefix`, None when there is none."""
    from temporalio.service import RPCError

    quoted = prefix.replace("'", "''")
    try:
        found = await _list(x, f"WorkflowId STARTS_WITH '{quoted}'", 20, namespace)
    except RPCError:  # servers before 1.23 do not know STARTS_WITH
        found = [i for i in await _list(x, "", 1000, namespace) if i.execution.workflow_id.startswith(prefix)]
    ids = sorted({str(info.execution.workflow_id) for info in found})
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
        others = [name for name in await ask.namespaces((await x.server()).service) if name != x.namespace]
        found = await asyncio.gather(*(_by_prefix(x, wanted, name) for name in others), return_exceptions=True)
    except RPCError:
        others, found = [], []
    for name, workflow_id in zip(others, found, strict=True):
        if isinstance(workflow_id, str):
            return _not_found(
                wanted,
                f"it is in the namespace {name}, and TEMPORAL_NAMESPACE is {x.namespace}",
                (f"namespace {name}: {workflow_id}",),
                f"set TEMPORAL_NAMESPACE={name} for whoever should see it, and start that again",
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
    wanted = []
    if failed:
        wanted.append("ExecutionStatus IN ('Failed', 'TimedOut', 'Terminated', 'Canceled')")
    if running:
        wanted.append("ExecutionStatus = 'Running'")
    found = await _list(x, " OR ".join(wanted), max(count, _PAGE))
    newest = sorted(found, key=lambda info: proto.at(info.start_time), reverse=True)[:count]
    service, around = (await x.server()).service, await x.around()
    now = time.time() + await x.skew()
    gate = asyncio.Semaphore(_AT_ONCE)

    async def row(info: Any) -> Row:
        async with gate:
            execution = info.execution
            _, _, diagnosis = await ask.diagnose(
                service, execution.workflow_id, around, run_id=execution.run_id, now=now
            )
        started, closed = proto.at(info.start_time), proto.at(info.close_time)
        return Row(
            execution.workflow_id,
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
    return await ask.describe((await x.server()).service, x.namespace, story.id, story.run_id)


async def stop(x: Examination, description: Any, *, force: bool) -> None:
    """Ask it to cancel itself, or (`force`) end it without asking."""
    from temporalio.api.workflowservice.v1 import (
        RequestCancelWorkflowExecutionRequest,
        TerminateWorkflowExecutionRequest,
    )

    service, execution = (await x.server()).service, description.workflow_execution_info.execution
    identity, reason = "mika", "asked for with `mika workflows`"
    if force:
        terminate = TerminateWorkflowExecutionRequest(
            namespace=x.namespace, workflow_execution=execution, reason=reason, identity=identity
        )
        await service.terminate_workflow_execution(terminate, timeout=ask.RPC_TIMEOUT, retry=False)
    else:
        cancel = RequestCancelWorkflowExecutionRequest(
            namespace=x.namespace,
            workflow_execution=execution,
            reason=reason,
            identity=identity,
            request_id=secrets.token_hex(8),
        )
        await service.request_cancel_workflow_execution(cancel, timeout=ask.RPC_TIMEOUT, retry=False)


async def retry(x: Examination, description: Any) -> tuple[str, str]:
    """Start it again with the same input under a new id; returns that and the queue.

    It goes into its old queue, unless only the configured one has a worker; its time-outs are the old ones, unless the
    configuration gives it more.
    """
    from google.protobuf.duration_pb2 import Duration
    from temporalio.api.taskqueue.v1 import TaskQueue
    from temporalio.api.workflowservice.v1 import StartWorkflowExecutionRequest

    service, info = (await x.server()).service, description.workflow_execution_info
    events = await ask.history(service, x.namespace, info.execution, whole=True)
    began = events[0].workflow_execution_started_event_attributes
    around, queue = await x.around(), began.task_queue.name
    if queue != x.queue and not around.alive(x.namespace, queue) and around.alive(x.namespace, x.queue):
        queue = x.queue

    def longer(old: Any, setting: str) -> Duration:
        found = Duration()
        wanted = x.config.number(setting) if queue == x.queue else 0.0
        found.FromMilliseconds(int(1000 * (max(proto.span(old), wanted) if proto.span(old) else 0)))
        return found

    new_id = f"{info.execution.workflow_id}-retry-{secrets.token_hex(3)}"
    request = StartWorkflowExecutionRequest(
        namespace=x.namespace,
        workflow_id=new_id,
        workflow_type=began.workflow_type,
        task_queue=TaskQueue(name=queue),
        input=began.input,
        header=began.header,
        memo=began.memo,
        search_attributes=began.search_attributes,
        workflow_run_timeout=longer(began.workflow_run_timeout, "WORKFLOW_RUN_TIMEOUT"),
        workflow_execution_timeout=longer(began.workflow_execution_timeout, "WORKFLOW_EXECUTION_TIMEOUT"),
        workflow_task_timeout=began.workflow_task_timeout,
        identity="mika",
        request_id=secrets.token_hex(8),
    )
    await service.start_workflow_execution(request, timeout=ask.RPC_TIMEOUT, retry=False)
    return new_id, queue
