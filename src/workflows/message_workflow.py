"""How one message is answered: remember, ask, store, and for a webhook event send.

The run time-out is the only clock the caller knows, so every step takes its limit from what is left of it. Were the sum
of the steps larger, the server would end the run and nobody would learn which step was slow.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from src.messages import (
        ASK_LLM,
        LOAD_HISTORY,
        SAVE_TURN,
        SEND_REPLY,
        WORKFLOW,
        Conversation,
        FinishedTurn,
        IncomingMessage,
        OutgoingReply,
        Question,
        Reply,
        Turn,
    )

# A killed worker's call is noticed after this, and the server needs up to a second more to hand it to the next worker.
# Not shorter: a laptop under load may stall for a second, and a false alarm pays for the same answer twice.
HEARTBEAT_TIMEOUT = timedelta(seconds=1.5)


@workflow.defn(name=WORKFLOW)
class ProcessMessageWorkflow:
    """Started by the API; its result is the reply."""

    @workflow.run
    async def run(self, incoming: IncomingMessage) -> Reply:
        conversation = Conversation(incoming.user_id, incoming.group_id)
        # Attempts bound a store that is down; the wide total leaves room for a worker that is being replaced.
        history = await workflow.execute_activity(
            LOAD_HISTORY,
            conversation,
            result_type=list[Turn],
            schedule_to_close_timeout=_share(0.5),
            start_to_close_timeout=_share(0.5, at_most=5),
            retry_policy=_retry(attempts=3),
        )
        answer = await workflow.execute_activity(
            ASK_LLM,
            Question(incoming.message, history),
            result_type=str,
            schedule_to_close_timeout=_share(0.8),
            start_to_close_timeout=_share(0.5),
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_retry(attempts=6),
        )
        await workflow.execute_activity(
            SAVE_TURN,
            FinishedTurn(conversation, incoming.message, answer, workflow.now().timestamp()),
            schedule_to_close_timeout=_share(0.6 if incoming.reply_to else 0.9),
            start_to_close_timeout=_share(0.5, at_most=5),
            retry_policy=_retry(attempts=8),
        )
        if incoming.reply_to:
            # Last, because it is the one step that is not idempotent: nothing after it can make a run start again.
            await workflow.execute_activity(
                SEND_REPLY,
                OutgoingReply(incoming.reply_to, answer),
                schedule_to_close_timeout=_share(0.9),
                start_to_close_timeout=_share(0.9, at_most=10),
                retry_policy=_retry(attempts=3),
            )
        return Reply(answer)


def _share(part: float, at_most: float | None = None) -> timedelta:
    """A part of the time that this run has left."""
    info = workflow.info()
    if info.run_timeout is None:  # started by hand, without limits
        seconds = 60.0
    else:
        seconds = (info.run_timeout - (workflow.now() - info.workflow_start_time)).total_seconds()
    if seconds <= 0:
        raise ApplicationError("no time left in this run", type="NoTimeLeft", non_retryable=True)
    return timedelta(seconds=min(part * seconds, at_most or seconds))


def _retry(attempts: int) -> RetryPolicy:
    return RetryPolicy(
        initial_interval=timedelta(milliseconds=200),
        maximum_interval=timedelta(seconds=5),
        maximum_attempts=attempts,
    )
