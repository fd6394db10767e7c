"""The steps of answering a message. They convert the errors of what they use into errors for Temporal's retries."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog
from mika.diagnosis.model import HISTORY_ERROR, LANGBOT_DOWN, LLM_ERROR, LLM_TIMEOUT, NOT_SENT, ONEBOT_DOWN
from temporalio import activity
from temporalio.exceptions import ApplicationError

from src.chat.images import make_image_store, with_images
from src.history.base import History, HistoryError
from src.llm import Llm, LlmError, LlmTimeoutError
from src.messages import (
    ASK_LLM,
    LOAD_HISTORY,
    SAVE_TURN,
    SEND_REPLY,
    Conversation,
    FinishedTurn,
    OutgoingReply,
    Question,
    Sent,
    Turn,
)
from src.send_errors import NotSentError, UnreachableError
from src.sending import Sender

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from src.config import Settings

log = structlog.get_logger("mika.worker")

# Of the model's step: a store that is down is not waited for as long as a model is.
_HISTORY_ATTEMPTS = 3


class BotActivities:
    """All are coroutines that never block the loop: a slow model must not look like a hung worker."""

    def __init__(self, settings: Settings, history: History, llm: Llm) -> None:
        self._history = history
        self._llm = llm
        self._sender = Sender(settings, history)
        self._images = make_image_store(settings)

    def all(self) -> list[Callable[..., Any]]:
        return [self.load_history, self.ask_llm, self.save_turn, self.send_reply]

    @activity.defn(name=LOAD_HISTORY)
    async def load_history(self, conversation: Conversation) -> list[Turn]:
        try:
            return await self._history.recent(conversation, before=_workflow_id())
        except HistoryError as error:
            raise ApplicationError(str(error), type=HISTORY_ERROR) from None

    @activity.defn(name=ASK_LLM)
    async def ask_llm(self, question: Question) -> str:
        started = time.monotonic()
        async with _heartbeat():
            history = question.history
            try:
                if question.conversation is not None:
                    history = await self._history.recent(question.conversation, before=_workflow_id())
                message, images = await with_images(question, self._images)
                answer = await self._llm.answer(message, history, images=images, timeout=_time_limit())
            except HistoryError as error:
                is_last = activity.info().attempt >= _HISTORY_ATTEMPTS
                raise ApplicationError(str(error), type=HISTORY_ERROR, non_retryable=is_last) from None
            except LlmError as error:
                # `from None`: the provider's exception contains the request, which Temporal would store.
                raise ApplicationError(
                    str(error),
                    type=LLM_TIMEOUT if isinstance(error, LlmTimeoutError) else LLM_ERROR,
                    non_retryable=not error.retryable,
                    next_retry_delay=_delta(error.retry_after),
                ) from None
        log.info("llm_answered", **_context(), elapsed_ms=round(1000 * (time.monotonic() - started)))
        return answer

    @activity.defn(name=SAVE_TURN)
    async def save_turn(self, turn: FinishedTurn) -> None:
        try:
            await self._history.save(_workflow_id(), turn)
        except HistoryError as error:
            raise ApplicationError(str(error), type=HISTORY_ERROR) from None
        log.info("turn_saved", **_context())

    @activity.defn(name=SEND_REPLY)
    async def send_reply(self, reply: OutgoingReply) -> Sent:
        async with _heartbeat():
            try:
                if reply.last_call:
                    sent = await self._sender.close(reply)
                else:
                    sent = await self._sender.deliver(reply, _time_limit())
            except NotSentError as error:
                down = ONEBOT_DOWN if reply.target.door == "onebot" else LANGBOT_DOWN
                kind = down if isinstance(error, UnreachableError) else NOT_SENT
                raise ApplicationError(str(error), type=kind, next_retry_delay=_delta(error.retry_after)) from None
            except HistoryError as error:
                raise ApplicationError(str(error), type=HISTORY_ERROR) from None
        context = {**_context(), "workflow_id": reply.message_id}
        match sent.delivery:
            case "sent":
                log.info("reply_sent", **context)
            case "maybe_sent":
                log.warning("reply_maybe_sent", **context, reason=sent.detail)
            case _:
                log.warning("reply_not_sent", **context, reason=sent.detail)
        return sent


def _workflow_id() -> str:
    return activity.info().workflow_id or ""


def _context() -> dict[str, object]:
    return {"workflow_id": _workflow_id(), "attempt": activity.info().attempt}


def _time_limit() -> float:
    """Seconds for one attempt: slightly less than Temporal allows, so that the error names the model."""
    limit = activity.info().start_to_close_timeout
    return 0.95 * limit.total_seconds() if limit else 30.0


def _delta(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


@asynccontextmanager
async def _heartbeat() -> AsyncIterator[None]:
    """Send heartbeats to the server, so that it soon notices when the process is gone."""
    timeout = activity.info().heartbeat_timeout
    interval = timeout.total_seconds() / 4 if timeout else 1.0

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(interval)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
