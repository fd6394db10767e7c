"""How a message is answered: load the history, ask the model, store the turn, and for a webhook event send the reply.

The caller only knows the run timeout, so the limit of each step is a share of the time that is left. If the steps
together could take longer, the server would end the run, and nobody would know which step was slow.

Nobody waits for the answer to an event, so nobody would see an error: there the chat gets a canned reply, and the
result says why.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, WorkflowAlreadyStartedError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    import structlog

    from src.chat_text import CANNED_REPLY
    from src.messages import (
        ASK_LLM,
        LOAD_HISTORY,
        SAVE_TURN,
        SEND_WORKFLOW,
        WORKFLOW,
        Conversation,
        FinishedTurn,
        IncomingMessage,
        OutgoingReply,
        Question,
        Reply,
        SendLater,
        Sent,
        Turn,
        send_workflow_id,
    )
    from src.workflows.send_workflow import SLACK
    from src.workflows.steps import HEARTBEAT_TIMEOUT, last_failure, local, reason, retry, send, show

log = structlog.get_logger("mika.worker")

_PATIENCE = 12.0
"""Seconds for which this workflow tries to send: longer than a chat may take to answer."""
_SAVED_FIRST = 6.0
"""Seconds for which a chat waits for a store that cannot be written: one attempt at a locked file, and another one."""


@workflow.defn(name=WORKFLOW)
class ProcessMessageWorkflow:
    """Started by the API; its result is the reply."""

    @workflow.run
    async def run(self, incoming: IncomingMessage) -> Reply:
        conversation = Conversation(incoming.user_id, incoming.group_id)
        target = incoming.reply_to
        detail = ""
        answer = ""
        unsaved: FinishedTurn | None = None
        try:
            answer = await _answer(incoming, conversation)
            unsaved = FinishedTurn(conversation, incoming.message, answer, workflow.now().timestamp())
            await _save(unsaved, _share(0.6, at_most=_SAVED_FIRST) if target else _share(0.9))
            unsaved = None
        except ActivityError as error:
            if target is None or is_cancelled_exception(error):
                raise
            detail = reason(error)
        if target is None:
            return Reply(answer)
        # Only this step is not idempotent, so no later one may fail this run and cause another.
        text = answer or CANNED_REPLY
        sent = await _send(incoming, OutgoingReply(target, text, workflow.info().workflow_id))
        if unsaved is not None and workflow.patched("saved-at-last"):
            detail = await _save_at_last(unsaved, detail)
        sent = Sent(sent.delivery, "; ".join(filter(None, (detail, sent.detail))))
        show(sent)
        return Reply(text, sent.delivery, sent.detail)


async def _answer(incoming: IncomingMessage, conversation: Conversation) -> str:
    question = Question(incoming.message, images=incoming.images, conversation=conversation)
    if not workflow.patched("turns-are-read-by-the-model's-step"):
        question = replace(question, history=await _earlier_turns(conversation), conversation=None)
    answer: str = await workflow.execute_activity(
        ASK_LLM,
        question,
        result_type=str,
        schedule_to_close_timeout=_share(0.8),
        start_to_close_timeout=_share(0.5),
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=retry(attempts=6),
    )
    return answer


async def _earlier_turns(conversation: Conversation) -> list[Turn]:
    return await local(
        LOAD_HISTORY,
        conversation,
        patience=_share(0.5),
        one_attempt=_share(0.5, at_most=5),
        attempts=3,
        result=list[Turn],
    )


async def _save(turn: FinishedTurn, patience: timedelta) -> None:
    await local(SAVE_TURN, turn, patience=patience, one_attempt=_share(0.5, at_most=5), attempts=8, result=type(None))


async def _save_at_last(turn: FinishedTurn, why: str) -> str:
    """Try on to store what is said already. Returns `why` it was not stored; "" if it was."""
    try:
        await _save(turn, _share(0.9))
    except (ActivityError, ApplicationError) as error:
        if is_cancelled_exception(error):
            raise
        return why
    return ""


async def _send(incoming: IncomingMessage, reply: OutgoingReply) -> Sent:
    """Send it now; if that fails for long, let another workflow try on, which may last longer than this one."""
    patience = _share(0.9, at_most=_PATIENCE)
    try:
        return await send(reply, patience=patience, one_attempt=patience)
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        why, cause = reason(error), last_failure(error)
    delay = cause.next_retry_delay if isinstance(cause, ApplicationError) else None
    later = SendLater(reply, delay.total_seconds() if delay else 0.0, incoming.send_patience)
    child_id = send_workflow_id(reply.message_id)
    with contextlib.suppress(WorkflowAlreadyStartedError):  # by an earlier run of this message
        await workflow.start_child_workflow(
            SEND_WORKFLOW,
            later,
            id=child_id,
            execution_timeout=timedelta(seconds=later.patience) + SLACK,
            task_timeout=workflow.info().task_timeout,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
        )
    if not workflow.unsafe.is_replaying():
        log.warning("reply_waiting", workflow_id=reply.message_id, reason=why)
    return Sent("waiting", f"{why}; {child_id} tries on for {later.patience:g} s")


def _share(fraction: float, at_most: float | None = None) -> timedelta:
    """A share of the time that this run has left."""
    info = workflow.info()
    if info.run_timeout is None:  # started by hand, without limits
        seconds = 60.0
    else:
        seconds = (info.run_timeout - (workflow.now() - info.workflow_start_time)).total_seconds()
    if seconds <= 0:
        raise ApplicationError("no time left in this run", type="NoTimeLeft", non_retryable=True)
    return timedelta(seconds=min(fraction * seconds, at_most or seconds))
