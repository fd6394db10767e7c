"""Starting a message's workflow durably and waiting for its reply, no longer than there is something to wait for."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    TerminatedError,
    WorkflowAlreadyStartedError,
)
from temporalio.exceptions import TimeoutError as TemporalTimeoutError
from temporalio.service import RPCError, RPCStatusCode

from diagnosis.model import FINE, HANGING
from src.api.problems import Problem
from src.api.verdict import Judge, Verdict, Watch
from src.logging_setup import shorten
from src.messages import WORKFLOW, IncomingMessage, Reply

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowExecutionDescription, WorkflowHandle

    from diagnosis.model import Diagnosis
    from src.config import Settings

log = structlog.get_logger("mika.api")

SOFT_WAIT = 3.0
_LOOK_EVERY = 0.5
_RPC_TIMEOUT = 2.0
# How long a server that is gone may stay away before the caller hears of it; its restart takes less than a second.
_OUTAGE_PATIENCE = 4.0
# The server ends a run on time; this much later nobody waits for its word any more.
_RUN_TIMEOUT_SLACK = 5.0
# A lazy client raises RuntimeError while it cannot connect; an expired call is CANCELLED, not DEADLINE_EXCEEDED.
_TEMPORAL_ERRORS = (RPCError, RuntimeError, TimeoutError)


def workflow_id_for(incoming: IncomingMessage, message_id: str) -> str:
    """The same for the same message; a random one when the sender gave no `message_id`. Holds no account number."""
    if not message_id:
        return f"process_message_{uuid.uuid4().hex}"
    key = f"{incoming.user_id}\0{incoming.group_id}\0{message_id}"
    return f"process_message_{hashlib.sha256(key.encode()).hexdigest()[:32]}"


class MessageService:
    """Everything the routes want from Temporal. Raises only `Problem`."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._judge = Judge(client, settings)
        self._last_reply = float("-inf")  # time.monotonic() at which any message was answered

    async def answer(self, incoming: IncomingMessage, workflow_id: str, limit: float | None = None) -> Reply | None:
        """The reply; None when a worker is still on it after `limit` seconds."""
        began = time.monotonic()
        # Not bound to the context: a message's log lines must not mark those of another request.
        logger = log.bind(workflow_id=workflow_id)
        logger.info("workflow_starting", user_id=shorten(incoming.user_id), message_type=incoming.message_type)
        is_kept = False
        try:
            try:
                handle = await self._start(incoming, workflow_id)
                is_kept = True
                reply = await self._wait(handle, limit)
            except _TEMPORAL_ERRORS as error:
                raise self._unavailable(error, None) from error
            except WorkflowFailureError as error:
                raise await self._explained(problem_of(error, workflow_id), handle) from error
            except asyncio.CancelledError:
                # Uvicorn's patience with requests is over: it is being stopped. Without this the caller would get a
                # bare 500 and not know that nothing is lost.
                kept = _kept(workflow_id) if is_kept else "Send the message again."
                given = workflow_id if is_kept else None
                raise Problem("api_stopping", f"The API is stopping. {kept}", workflow_id=given) from None
        except Problem as problem:
            reason = problem.__cause__ or problem
            logger.warning(
                "workflow_failed",
                error=problem.detail,
                error_type=type(reason).__name__,
                cause=_root_cause(reason),
                code=problem.code,
                elapsed_ms=_milliseconds_since(began),
            )
            raise
        if reply is None:
            logger.info("workflow_continues", elapsed_ms=_milliseconds_since(began))
        else:
            logger.info("workflow_completed", elapsed_ms=_milliseconds_since(began))
        return reply

    async def describe(self, workflow_id: str) -> dict[str, object]:
        """What `GET /workflows/{id}` answers. Raises `Problem` `not_found` for everything that is not a message."""
        handle = self._client.get_workflow_handle(workflow_id, result_type=Reply)
        try:
            description = await self._describe(handle)
        except _TEMPORAL_ERRORS as error:
            if isinstance(error, RPCError) and error.status in {
                RPCStatusCode.NOT_FOUND,
                RPCStatusCode.INVALID_ARGUMENT,
            }:
                raise Problem("not_found", "There is no message with this workflow id.") from None
            raise self._unavailable(error, workflow_id) from None
        if description.workflow_type != WORKFLOW:
            raise Problem("not_found", "There is no message with this workflow id.")
        status = description.status
        answer: dict[str, object] = {"workflow_id": workflow_id, "status": _status_name(status), "response": None}
        if answer["status"] == "running":
            found = await self._judge.judge(description.raw_description)
            return answer if found.cause in FINE else {**answer, "cause": found.cause, "fix": found.fix}
        try:
            async with asyncio.timeout(2 * _RPC_TIMEOUT):
                answer["response"] = (await handle.result()).response
        except WorkflowFailureError as error:
            problem = await self._explained(problem_of(error, workflow_id), handle)
            answer["error"] = {"code": problem.code, "detail": problem.detail}
            answer |= problem.explanation
        except _TEMPORAL_ERRORS as error:
            raise self._unavailable(error, workflow_id) from None
        return answer

    async def _start(self, incoming: IncomingMessage, workflow_id: str) -> WorkflowHandle[Any, Reply]:
        """Durable when it returns. Tried again for a while: the id makes that safe."""
        settings = self._settings
        deadline = time.monotonic() + _OUTAGE_PATIENCE
        while True:
            try:
                async with asyncio.timeout(_RPC_TIMEOUT):
                    return await self._client.start_workflow(
                        WORKFLOW,
                        incoming,
                        id=workflow_id,
                        task_queue=settings.temporal_task_queue,
                        result_type=Reply,
                        execution_timeout=timedelta(seconds=settings.workflow_execution_timeout),
                        run_timeout=timedelta(seconds=settings.workflow_run_timeout),
                        task_timeout=timedelta(seconds=settings.workflow_task_timeout),
                        # One answer a message: a running one is joined, a finished one is read, a failed one is redone.
                        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                        rpc_timeout=timedelta(seconds=_RPC_TIMEOUT),
                    )
            except WorkflowAlreadyStartedError:
                return self._client.get_workflow_handle(workflow_id, result_type=Reply)
            except _TEMPORAL_ERRORS as error:
                if time.monotonic() >= deadline or not _may_pass(error):
                    raise
                await asyncio.sleep(0.1)

    async def _wait(self, handle: WorkflowHandle[Any, Reply], limit: float | None) -> Reply | None:
        watch = Watch(SOFT_WAIT)
        run_timeout = min(self._settings.workflow_run_timeout, self._settings.workflow_execution_timeout)
        unreachable_since: float | None = None
        result = asyncio.ensure_future(handle.result())
        try:
            while True:
                await asyncio.wait({result}, timeout=_LOOK_EVERY)
                try:
                    if result.done():
                        reply = result.result()
                        self._last_reply = time.monotonic()
                        return reply
                    description = await self._describe(handle)
                    unreachable_since = None
                except _TEMPORAL_ERRORS as error:
                    now = time.monotonic()
                    unreachable_since = unreachable_since or now
                    if now - unreachable_since >= _OUTAGE_PATIENCE or not _may_pass(error):
                        raise self._unavailable(error, handle.id) from error
                    if result.done():
                        await asyncio.sleep(_LOOK_EVERY)
                        result = asyncio.ensure_future(handle.result())
                    continue
                verdict = watch.look(description.raw_description)
                # While others are answered, a worker is there and busy: this message waits in a queue that moves.
                busy = time.monotonic() - self._last_reply < SOFT_WAIT
                if verdict and not busy and not result.done():
                    found = await self._judge.judge(description.raw_description, verdict.waited)
                    if found.cause in HANGING:
                        verdict = Verdict(found, verdict.waited)
                    if not result.done():
                        detail = f"{_sentences(verdict.diagnosis)} {_kept(handle.id)}"
                        raise Problem(verdict.code, detail, workflow_id=handle.id, diagnosis=verdict.diagnosis)
                if limit is not None and watch.elapsed >= limit:
                    return None
                if watch.elapsed >= run_timeout + _RUN_TIMEOUT_SLACK:
                    raise Problem("workflow_timeout", f"No reply after {watch.elapsed:.0f} s.", workflow_id=handle.id)
        finally:
            result.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await result

    async def _describe(self, handle: WorkflowHandle[Any, Reply]) -> WorkflowExecutionDescription:
        async with asyncio.timeout(_RPC_TIMEOUT):  # rpc_timeout alone is for each of the SDK's own retries
            return await handle.describe(rpc_timeout=timedelta(seconds=_RPC_TIMEOUT))

    async def _explained(self, problem: Problem, handle: WorkflowHandle[Any, Reply]) -> Problem:
        """The same problem, with the cause that the history tells; a time-out says in its detail what was slow."""
        try:
            found = await self._judge.judge((await self._describe(handle)).raw_description)
        except _TEMPORAL_ERRORS:
            return problem
        problem.diagnosis = found
        if problem.code == "workflow_timeout":
            problem.detail = f"{problem.detail} {_sentences(found)}"
        return problem

    def _unavailable(self, error: BaseException, workflow_id: str | None) -> Problem:
        where = self._settings.temporal_address
        if isinstance(error, RPCError) and error.status == RPCStatusCode.NOT_FOUND:
            namespace = self._settings.temporal_namespace
            detail = f"Temporal at {where} has no namespace {namespace!r}, or no longer has this message."
        elif workflow_id:
            detail = f"Temporal at {where} stopped answering. {_kept(workflow_id)}"
        else:
            detail = f"Temporal at {where} does not answer; the message was not taken."
        return Problem("temporal_unavailable", detail, workflow_id=workflow_id)


def _sentences(found: Diagnosis) -> str:
    """`No worker has taken it for 3.0 s (no_worker). Start it: ...`"""
    return f"{found.finding[:1].upper()}{found.finding[1:]} ({found.cause}). {found.fix[:1].upper()}{found.fix[1:]}."


def _kept(workflow_id: str) -> str:
    return f"The message is kept: its reply will appear at /workflows/{workflow_id}."


def problem_of(error: WorkflowFailureError, workflow_id: str) -> Problem:
    """What the end of a workflow that did not complete means for the caller."""
    cause = error.cause
    if isinstance(cause, TemporalTimeoutError):
        return Problem(
            "workflow_timeout",
            "The message was not answered within WORKFLOW_RUN_TIMEOUT, and was given up.",
            workflow_id=workflow_id,
        )
    if isinstance(cause, CancelledError | TerminatedError):
        return Problem("workflow_stopped", f"{cause}", workflow_id=workflow_id)
    retryable = True
    step = ""
    if isinstance(cause, ActivityError):
        step = f"{cause.activity_type}: "
        cause = cause.cause or cause
    if isinstance(cause, ApplicationError):
        retryable = not cause.non_retryable
    return Problem("activity_failed", f"{step}{_text(cause)}", workflow_id=workflow_id, retry=retryable)


def _may_pass(error: BaseException) -> bool:
    """Whether the same call may work a moment later."""
    return not isinstance(error, RPCError) or error.status not in {
        RPCStatusCode.NOT_FOUND,
        RPCStatusCode.INVALID_ARGUMENT,
        RPCStatusCode.PERMISSION_DENIED,
        RPCStatusCode.UNAUTHENTICATED,
        RPCStatusCode.UNIMPLEMENTED,
    }


def _text(error: BaseException | None) -> str:
    if isinstance(error, ApplicationError):
        return error.message
    if isinstance(error, TemporalTimeoutError):
        kind = error.type.name.lower() if error.type is not None else "timeout"
        last = error.__cause__
        return f"timed out ({kind}){f', last: {_text(last)}' if last else ''}"
    return str(error)


def _root_cause(error: BaseException) -> str | None:
    cause = error.__cause__
    if cause is None:
        return None
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return f"{type(cause).__name__}: {cause}"


def _status_name(status: WorkflowExecutionStatus | None) -> str:
    match status:
        case None | WorkflowExecutionStatus.RUNNING | WorkflowExecutionStatus.CONTINUED_AS_NEW:
            return "running"
        case _:
            return status.name.lower()


def _milliseconds_since(began: float) -> int:
    return round(1000 * (time.monotonic() - began))
