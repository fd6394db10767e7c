"""How a message is answered: load the history, ask the model, store the turn, and for a webhook event send the reply.

The caller only knows the run timeout, so the limit of each step is a share of the time that is left. If the steps
together could take longer, the server would end the run, and nobody would know which step was slow.
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

# After this, the server notices that a worker was killed; it takes up to a second more until the next worker gets the
# call. Not shorter: a laptop under load may stall for a second, and a false alarm pays for the same answer twice.
HEARTBEAT_TIMEOUT = timedelta(seconds=1.5)


@workflow.defn(name=WORKFLOW)
class ProcessMessageWorkflow:
    """Started by the API; its result is the reply."""

    @workflow.run
    async def run(self, incoming: IncomingMessage) -> Reply:
        conversation = Conversation(incoming.user_id, incoming.group_id)
        # The number of attempts limits the wait for a store that is down; the total leaves time to replace a worker.
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
            # Last, because only this step is not idempotent: no later step can cause another run.
            await workflow.execute_activity(
                SEND_REPLY,
                OutgoingReply(incoming.reply_to, answer),
                schedule_to_close_timeout=_share(0.9),
                start_to_close_timeout=_share(0.9, at_most=10),
                retry_policy=_retry(attempts=3),
            )
        return Reply(answer)


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


def _retry(attempts: int) -> RetryPolicy:
    return RetryPolicy(
        initial_interval=timedelta(milliseconds=200),
        maximum_interval=timedelta(seconds=5),
        maximum_attempts=attempts,
    )
