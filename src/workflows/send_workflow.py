"""Sends a reply for longer than the run of its message may last: LangBot is down."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from src.messages import SEND_WORKFLOW, SendLater, Sent
    from src.workflows.steps import reason, send, show

_ONE_ATTEMPT = timedelta(seconds=60)
_LAST_CALL = timedelta(seconds=30)
SLACK = 4 * _LAST_CALL
"""The execution timeout is this much longer than the patience, so that the result says what became of the reply."""


@workflow.defn(name=SEND_WORKFLOW)
class SendReplyWorkflow:
    """Started by the message's workflow, which ends before it."""

    @workflow.run
    async def run(self, later: SendLater) -> Sent:
        wait = min(later.delay, later.patience)
        if wait:
            await workflow.sleep(wait)
        patience = timedelta(seconds=max(later.patience - wait, 1.0))
        try:
            sent = await send(later.reply, patience=patience, one_attempt=_ONE_ATTEMPT)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            sent = await _close(later, reason(error))
        show(sent)
        return sent


async def _close(later: SendLater, why: str) -> Sent:
    """End it for good: an attempt may still be under way on a worker that nobody hears from."""
    try:
        sent = await send(replace(later.reply, last_call=True), patience=_LAST_CALL, one_attempt=_LAST_CALL)
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        return Sent("maybe_sent", f"nobody could say what became of it: {reason(error)}")
    if sent.delivery == "refused":
        return Sent("refused", f"{sent.detail}: {later.patience:g} s (LANGBOT_SEND_PATIENCE) are over; {why}")
    return sent
