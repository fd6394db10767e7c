"""Start a workflow and talk to one with a plain client: payloads are JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from mika.decoded import Json
from mika.diagnosis import proto
from mika.diagnosis.commands import for_workflow
from mika.diagnosis.model import HANGING, TROUBLED, Diagnosis
from mika.diagnosis.proto import readable
from mika.doctor.examination import Examination
from mika.doctor.workflows.story import diagnose_again
from mika.errors import MikaError
from mika.frozen import frozen
from mika.wording import _

if TYPE_CHECKING:
    from temporalio.api.common.v1 import WorkflowExecution
    from temporalio.client import Client

T = TypeVar("T")
Say = Callable[[str], None]

_LOOK_AGAIN = 3.0
"""Seconds between two looks at whether it still gets on."""


@frozen
class Answer:
    """A value from a workflow. `encoding` names what is not JSON: then only the program's own converter can read it."""

    value: Json = None
    encoding: str = ""


async def client_of(exam: Examination) -> Client:
    """The SDK's client, with its own converter."""
    from temporalio.client import Client

    temporal = await exam.temporal()
    return Client(temporal.client, namespace=temporal.namespace)


async def start(exam: Examination, kind: str, texts: Sequence[str], *, queue: str, workflow_id: str) -> str:
    """Start a workflow of the type `kind`; returns its run id. Raises MikaError if that id is taken."""
    from temporalio.exceptions import WorkflowAlreadyStartedError

    client, values = await client_of(exam), [json.loads(text) for text in texts]
    try:
        handle = await client.start_workflow(kind, args=values, id=workflow_id, task_queue=queue)
    except WorkflowAlreadyStartedError:
        raise already_started(workflow_id) from None
    return handle.result_run_id or ""


def already_started(workflow_id: str) -> MikaError:
    text = _("{id} runs already", id=workflow_id)
    return MikaError(text, _("give another --id, or none"), code="already_started")


async def signal(exam: Examination, execution: WorkflowExecution, name: str, texts: Sequence[str]) -> None:
    """Send a signal. Whether the workflow knows it, nobody says."""
    handle = (await client_of(exam)).get_workflow_handle(execution.workflow_id, run_id=execution.run_id)
    await handle.signal(name, args=[json.loads(text) for text in texts])


async def ask(
    exam: Examination,
    execution: WorkflowExecution,
    verb: Literal["update", "query"],
    name: str,
    texts: Sequence[str],
    say: Say,
) -> Answer:
    """Send an update, or a query (also to one that has ended), and wait for the answer. `say` hears why it takes long.

    Raises MikaError if it fails, or if nobody is there to answer, or it cannot answer.
    """
    from temporalio.client import WorkflowQueryFailedError, WorkflowUpdateFailedError
    from temporalio.common import RawValue
    from temporalio.service import RPCError, RPCStatusCode

    handle = (await client_of(exam)).get_workflow_handle(execution.workflow_id, run_id=execution.run_id)
    send: Callable[..., Awaitable[Any]] = handle.execute_update if verb == "update" else handle.query
    call = send(name, args=[json.loads(text) for text in texts], result_type=RawValue)
    try:
        return _answer(await _while_it_gets_on(exam, execution.workflow_id, call, say))
    except WorkflowUpdateFailedError as error:
        raise failed(verb, name, execution.workflow_id, str(error.cause)) from None
    except WorkflowQueryFailedError as error:
        raise failed(verb, name, execution.workflow_id, str(error)) from None
    except RPCError as error:
        if error.status != RPCStatusCode.FAILED_PRECONDITION:
            raise
        raise _cannot_answer(await diagnose_again(exam, execution.workflow_id), execution, str(error)) from None


def _cannot_answer(diagnosis: Diagnosis, execution: WorkflowExecution, error: str) -> MikaError:
    """For a workflow that the server asks nothing: it has not begun, or its workflow task fails again and again."""
    text = _(
        "{id} does not answer: {finding} (Temporal: {error})",
        id=execution.workflow_id,
        finding=diagnosis.finding,
        error=error,
    )
    tells = _("{command} shows its history", command=for_workflow("doctor --workflow", execution.workflow_id))
    return MikaError(text, diagnosis.fix or tells, code="no_answer")


def failed(verb: str, name: str, workflow_id: str, why: str) -> MikaError:
    text = _("the {verb} {name} of {id} failed: {why}", verb=verb, name=name, id=workflow_id, why=why)
    return MikaError(text, code=f"{verb}_failed")


async def result(exam: Examination, workflow_id: str, run_id: str, say: Say) -> Answer | None:
    """Wait for the end of a workflow; None if it does not complete. `say` hears what is wrong meanwhile.

    A reset ends a run and begins another one: that is waited for, too.
    """
    from temporalio.client import WorkflowFailureError

    runs = [run_id]
    while True:
        with contextlib.suppress(WorkflowFailureError):
            return await _result_of_run(exam, workflow_id, runs[-1], say)
        latest = (await (await exam.temporal()).describe(workflow_id)).workflow_execution_info
        if latest.first_run_id != runs[0] or latest.execution.run_id in runs:
            return None
        runs.append(latest.execution.run_id)
        if latest.status == proto.RUNNING:
            say(_("{id} was reset: its run {run} goes on", id=workflow_id, run=runs[-1]))


async def _result_of_run(exam: Examination, workflow_id: str, run_id: str, say: Say) -> Answer:
    """Raises WorkflowFailureError if it does not complete."""
    from temporalio.common import RawValue

    handle = (await client_of(exam)).get_workflow_handle(workflow_id, run_id=run_id, result_type=RawValue)
    waiting, told = asyncio.ensure_future(handle.result()), ""
    try:
        while not (await asyncio.wait({waiting}, timeout=_LOOK_AGAIN))[0]:
            diagnosis = await diagnose_again(exam, workflow_id)
            if diagnosis.cause in TROUBLED and diagnosis.cause != told:  # it may just have ended, too
                told = diagnosis.cause
                text = _("{id} waits: {finding}", id=workflow_id, finding=diagnosis.finding)
                say(_("{text}; {fix}", text=text, fix=diagnosis.fix) if diagnosis.fix else text)
        return _answer(waiting.result())
    finally:
        waiting.cancel()


async def _while_it_gets_on(exam: Examination, workflow_id: str, call: Awaitable[T], say: Say) -> T:
    """The result of a call that a worker has to answer. Raises MikaError when it is clear that none will."""
    waiting, told = asyncio.ensure_future(call), ""
    try:
        while not (await asyncio.wait({waiting}, timeout=_LOOK_AGAIN))[0]:
            diagnosis = await diagnose_again(exam, workflow_id)
            if diagnosis.cause in HANGING:
                text = _("{id} does not answer: {finding}", id=workflow_id, finding=diagnosis.finding)
                raise MikaError(text, diagnosis.fix, code="no_answer")
            if diagnosis.cause != told:
                told = diagnosis.cause
                say(_("{id} has not answered yet: {finding}", id=workflow_id, finding=diagnosis.finding))
        return waiting.result()
    finally:
        waiting.cancel()


def _answer(raw: Any) -> Answer:  # noqa: ANN401 - a RawValue, or nothing
    if raw is None:
        return Answer()
    is_known, value = readable(raw.payload)
    encoding = raw.payload.metadata.get("encoding", b"").decode(errors="replace")
    return Answer(value) if is_known else Answer(encoding=encoding or "unknown")
