"""Durably starts a message's workflow, and waits for its reply for as long as a worker is on it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog
from mika.diagnosis.model import FINE, HANGING, PATIENCE
from mika.diagnosis.temporal import Temporal
from mika.diagnosis.users import shorten
from mika.diagnosis.wording import Text, _
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ActivityError, ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from src.api.admission import Admission, MessageCounter
from src.api.calls import CALL_TIMEOUT, TEMPORAL_ERRORS, Calls, is_transient
from src.api.failures import problem_of, root_cause
from src.api.signs import ASK_EVERY, WorkerSigns, WorkflowSnapshot, make_poll_reader
from src.api.verdict import Judge, Verdict, Watch
from src.intake.problems import Problem
from src.messages import WORKFLOW, IncomingMessage, Reply, Sent, send_workflow_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mika.diagnosis.model import Diagnosis
    from temporalio.client import Client, WorkflowExecutionDescription, WorkflowHandle

    from src.config import Settings

log = structlog.get_logger("mika.api")

SOFT_WAIT = PATIENCE
_LOOK_EVERY = 0.5  # s
_SURELY_HUNG = 10.0  # s
_FRESH = 1.5 * ASK_EVERY
# The server ends a run on time. This much later, the caller no longer waits for the server to say so.
_RUN_TIMEOUT_SLACK = 5.0  # s
# How long a message may wait until it is started. Of the timeout for somebody who waits for the reply; LangBot waits
# for 15 s until an event is taken.
_SHARE_OF_WAITING = 0.3
_EVENT_PATIENCE = 5.0  # s


class MessageService:
    """Everything that the routes need from Temporal. Raises only `Problem`."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._calls = Calls()
        temporal = Temporal(client.service_client, settings.temporal_namespace)
        self._judge = Judge(temporal, settings)
        queue = settings.temporal_task_queue
        self._signs = WorkerSigns(make_poll_reader(temporal, queue, self._calls), SOFT_WAIT)
        self._time_out = min(settings.workflow_run_timeout, settings.workflow_execution_timeout)
        counter = MessageCounter(temporal, queue, self._calls)
        self._admission = Admission(counter.read, self._has_worker, self._calls.is_gone, self._time_out)

    async def take(self, incoming: IncomingMessage, workflow_id: str, limit: float) -> None:
        """Start the message's workflow durably, within `limit` seconds. The workflow itself sends its reply."""
        began = time.monotonic()
        with self._logged(incoming, workflow_id, began):
            await self._start_or_fail(incoming, workflow_id, min(_EVENT_PATIENCE, limit), limit)
        log.info("workflow_taken", workflow_id=workflow_id, elapsed_ms=_milliseconds_since(began))

    async def answer(self, incoming: IncomingMessage, workflow_id: str) -> Reply:
        """Start the message's workflow durably, and wait for its reply."""
        began = time.monotonic()
        with self._logged(incoming, workflow_id, began):
            handle = await self._start_or_fail(incoming, workflow_id, _SHARE_OF_WAITING * self._time_out)
            try:
                reply = await self._wait(handle)
            except TEMPORAL_ERRORS as error:
                raise self._unavailable(error, workflow_id) from error
            except WorkflowFailureError as error:
                raise await self._with_diagnosis(problem_of(error, workflow_id), handle) from error
            except asyncio.CancelledError:
                raise _stopping(self._kept_note(workflow_id), workflow_id) from None
        log.info("workflow_completed", workflow_id=workflow_id, elapsed_ms=_milliseconds_since(began))
        return reply

    async def describe(self, workflow_id: str) -> dict[str, object]:
        """The answer of `GET /workflows/{id}`. Raises `Problem` `not_found` for anything that is not a message."""
        handle = self._client.get_workflow_handle(workflow_id, result_type=Reply)
        try:
            description = await self._describe(handle, time.monotonic())
        except TEMPORAL_ERRORS as error:
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
            diagnosis = await self._judge.judge(description.raw_description)
            return answer if diagnosis.cause in FINE else {**answer, "cause": diagnosis.cause, "fix": diagnosis.fix}
        try:
            async with asyncio.timeout(2 * CALL_TIMEOUT):
                answer |= await self._reply(handle)
        except WorkflowFailureError as error:
            problem = await self._with_diagnosis(problem_of(error, workflow_id), handle)
            answer["error"] = {"code": problem.code, "detail": problem.detail}
            answer |= problem.explanation
        except TEMPORAL_ERRORS as error:
            raise self._unavailable(error, workflow_id) from None
        return answer

    async def _reply(self, handle: WorkflowHandle[Any, Reply]) -> dict[str, object]:
        """What became of a reply. Raises `WorkflowFailureError`, `TEMPORAL_ERRORS`."""
        reply = await handle.result()
        delivery, detail = reply.delivery, reply.detail
        if delivery == "waiting":
            later = self._client.get_workflow_handle(send_workflow_id(handle.id), result_type=Sent)
            status = (await self._describe(later, time.monotonic())).status
            if status == WorkflowExecutionStatus.COMPLETED:
                sent = await later.result()
                delivery, detail = sent.delivery, sent.detail
            elif _status_name(status) != "running":
                delivery = "maybe_sent"
                detail = _("{id} ended: {status}", id=later.id, status=_status_name(status))
        shown = {"response": reply.response, "delivery": delivery, "detail": detail}
        return {name: value for name, value in shown.items() if name == "response" or value not in {"none", ""}}

    @contextlib.contextmanager
    def _logged(self, incoming: IncomingMessage, workflow_id: str, began: float) -> Iterator[None]:
        """Log that the message arrived, and the `Problem` that ends it. `began`: `time.monotonic` of its arrival."""
        # Not bound to the context: that would also mark log lines of other requests.
        logger = log.bind(workflow_id=workflow_id)
        logger.info("workflow_starting", user_id=shorten(incoming.user_id), message_type=incoming.message_type)
        try:
            yield
        except Problem as problem:
            reason = problem.__cause__ or problem
            logger.warning(
                "workflow_failed",
                error=problem.detail,
                error_type=type(reason).__name__,
                cause=root_cause(reason),
                code=problem.code,
                elapsed_ms=_milliseconds_since(began),
            )
            raise

    async def _start_or_fail(
        self, incoming: IncomingMessage, workflow_id: str, patience: float, limit: float | None = None
    ) -> WorkflowHandle[Any, Reply]:
        """Raises `Problem`; the message was not accepted then. `patience`: seconds for which it may wait for its turn.

        `limit`: seconds after which nobody waits for Temporal any more.
        """
        try:
            async with asyncio.timeout(limit):
                try:
                    await self._admission.admit(patience)
                except Problem:
                    if (handle := await self._known(workflow_id)) is not None:
                        return handle
                    raise
                return await self._start(incoming, workflow_id)
        except TEMPORAL_ERRORS as error:
            raise self._unavailable(error, None) from error
        except asyncio.CancelledError:
            raise _stopping(_("Send the message again."), None) from None

    async def _known(self, workflow_id: str) -> WorkflowHandle[Any, Reply] | None:
        """The workflow of a message that was sent before; None if there is none, or it is to run again."""
        handle = self._client.get_workflow_handle(workflow_id, result_type=Reply)
        try:
            status = (await self._describe(handle, time.monotonic())).status
        except TEMPORAL_ERRORS:
            return None
        return handle if status in {WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.COMPLETED} else None

    def _has_worker(self) -> bool:
        self._signs.request_polls()
        return not self._signs.are_missing()

    async def _start(self, incoming: IncomingMessage, workflow_id: str) -> WorkflowHandle[Any, Reply]:
        """Start the workflow, durably. Retries for a while, which the id makes safe."""
        settings = self._settings
        began = time.monotonic()
        while True:
            try:
                async with self._calls.call(began):
                    return await self._client.start_workflow(
                        WORKFLOW,
                        incoming,
                        id=workflow_id,
                        task_queue=settings.temporal_task_queue,
                        result_type=Reply,
                        execution_timeout=timedelta(seconds=settings.workflow_execution_timeout),
                        run_timeout=timedelta(seconds=settings.workflow_run_timeout),
                        task_timeout=timedelta(seconds=settings.workflow_task_timeout),
                        # One answer per message: join a running workflow, read a finished one, run a failed one again.
                        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                        rpc_timeout=timedelta(seconds=CALL_TIMEOUT),
                    )
            except WorkflowAlreadyStartedError:
                return self._client.get_workflow_handle(workflow_id, result_type=Reply)
            except TEMPORAL_ERRORS as error:
                if self._calls.is_gone(began) or not is_transient(error):
                    raise
                await asyncio.sleep(0.1)

    async def _wait(self, handle: WorkflowHandle[Any, Reply]) -> Reply:
        watch = Watch(SOFT_WAIT)
        snapshot: WorkflowSnapshot | None = None
        looked_at = watch.started
        result = asyncio.ensure_future(handle.result())
        try:
            while True:
                await asyncio.wait({result}, timeout=_LOOK_EVERY)
                try:
                    if result.done():
                        return self._result(handle, result)
                    if watch.elapsed >= self._time_out + _RUN_TIMEOUT_SLACK:
                        detail = _("No reply after {seconds:.0f} s.", seconds=watch.elapsed)
                        raise Problem("workflow_timeout", detail, workflow_id=handle.id)
                    self._signs.request_polls()
                    if self._signs.is_fresh(_FRESH) and time.monotonic() - looked_at < SOFT_WAIT:
                        continue  # a worker is busy: frequent looks by many callers would only slow it down
                    looked_at = time.monotonic()
                    description = await self._describe(handle, watch.started)
                except TEMPORAL_ERRORS as error:
                    if self._calls.is_gone(watch.started) or not is_transient(error):
                        raise self._unavailable(error, handle.id) from error
                    if result.done() and isinstance(result.exception(), TEMPORAL_ERRORS):
                        await asyncio.sleep(_LOOK_EVERY)
                        result = asyncio.ensure_future(handle.result())
                    continue
                snapshot = self._signs.compare(snapshot, description.raw_description)
                verdict = watch.assess(description.raw_description)
                execution = description.raw_description.workflow_execution_info.execution
                if verdict and verdict.waited >= _SURELY_HUNG and await self._judge.return_lost(verdict, execution):
                    log.warning("task_returned", workflow_id=handle.id)
                    continue
                if verdict and await self._is_stuck(verdict, watch) and not result.done():
                    diagnosis = await self._judge.judge(description.raw_description, verdict.waited)
                    if diagnosis.cause in HANGING:
                        verdict = replace(verdict, diagnosis=diagnosis)
                    if not result.done():
                        detail = _in_turn(_sentences(verdict.diagnosis), self._kept_note(handle.id))
                        raise Problem(verdict.code, detail, workflow_id=handle.id, diagnosis=verdict.diagnosis)
        finally:
            result.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await result

    def _result(self, handle: WorkflowHandle[Any, Reply], result: asyncio.Future[Reply]) -> Reply:
        """The workflow's result. Raises `WorkflowFailureError`."""
        failure = result.exception()
        cause = failure.cause if isinstance(failure, WorkflowFailureError) else failure
        # Only a new result is a sign of a worker: another may be old, and a timeout comes from the server alone.
        is_new = handle.first_execution_run_id is not None
        if is_new and (cause is None or isinstance(cause, ActivityError | ApplicationError)):
            self._calls.record_answer()
            self._signs.record_step()
        return result.result()

    async def _is_stuck(self, verdict: Verdict, watch: Watch) -> bool:
        """Whether the message is not just waiting for its turn."""
        if self._signs.is_answering():
            return False
        is_silent = await self._signs.is_silent(verdict.kind, watch.started)
        # An idle worker is silent while its polls last. If it has polled since it was given the task, it was there:
        # it is at work on it, or never got it.
        was_there = verdict.code != "no_worker" and verdict.kind == "workflow"
        if is_silent and not (was_there and self._signs.has_polled_since(verdict.since)):
            return True
        # A worker that hangs in Python may still poll, so polls count as a sign of life for a while only.
        return verdict.code != "no_worker" and verdict.waited >= _SURELY_HUNG

    async def _describe(self, handle: WorkflowHandle[Any, Reply], since: float) -> WorkflowExecutionDescription:
        async with self._calls.call(since):
            return await handle.describe(rpc_timeout=timedelta(seconds=CALL_TIMEOUT))

    async def _with_diagnosis(self, problem: Problem, handle: WorkflowHandle[Any, Reply]) -> Problem:
        """Add the diagnosis to `problem`. If it is a timeout, its detail then also says what was slow."""
        try:
            description = await self._describe(handle, time.monotonic())
            diagnosis = await self._judge.judge(description.raw_description)
        except TEMPORAL_ERRORS:
            return problem
        problem.diagnosis = diagnosis
        if problem.code == "workflow_timeout":
            problem.detail = _in_turn(problem.detail, _sentences(diagnosis))
        return problem

    def _unavailable(self, error: BaseException, workflow_id: str | None) -> Problem:
        address = self._settings.temporal_address
        if isinstance(error, RPCError) and error.status == RPCStatusCode.NOT_FOUND:
            namespace = self._settings.temporal_namespace
            detail = _(
                "Temporal at {address} has no namespace '{namespace}', or no longer has this message.",
                address=address,
                namespace=namespace,
            )
        elif workflow_id:
            stopped = _("Temporal at {address} stopped answering.", address=address)
            detail = _in_turn(stopped, self._kept_note(workflow_id))
        else:
            detail = _("Temporal at {address} does not answer; the message was not accepted.", address=address)
        return Problem("temporal_unavailable", detail, workflow_id=workflow_id)

    def _kept_note(self, workflow_id: str) -> str:
        return _(
            "The message is kept: if it is answered within {seconds:g} s of its arrival (WORKFLOW_RUN_TIMEOUT), its "
            "reply appears at /workflows/{id}.",
            seconds=self._time_out,
            id=workflow_id,
        )


def _stopping(note: str, kept_id: str | None) -> Problem:
    """Uvicorn stops, and waits no longer for a request. A bare 500 would not tell its caller that nothing is lost."""
    return Problem("api_stopping", _in_turn(_("The API is stopping."), note), workflow_id=kept_id)


def _in_turn(sentence: str, next_one: str) -> Text:
    return _("{sentence} {next_one}", sentence=sentence, next_one=next_one)


def _sentences(diagnosis: Diagnosis) -> str:
    """`No worker has taken it for 3.0 s (no_worker). Start it: ...`"""
    finding, fix = _capitalized(diagnosis.finding), _capitalized(diagnosis.fix)
    return _("{finding} ({cause}). {fix}.", finding=finding, cause=diagnosis.cause, fix=fix)


def _capitalized(text: str) -> str:
    capitalized = f"{text[:1].upper()}{text[1:]}"
    return Text(capitalized, text.template, text.values) if isinstance(text, Text) else capitalized


def _status_name(status: WorkflowExecutionStatus | None) -> str:
    match status:
        case None | WorkflowExecutionStatus.RUNNING | WorkflowExecutionStatus.CONTINUED_AS_NEW:
            return "running"
        case _:
            return status.name.lower()


def _milliseconds_since(began: float) -> int:
    return round(1000 * (time.monotonic() - began))
