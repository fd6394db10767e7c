"""`POST /webhook/langbot` (and its older name `/webhook`): takes a message and answers with the reply."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog
from fastapi import APIRouter, Request
from mika.diagnosis.wording import packed

from src.api.answers import MessageAnswer
from src.api.body import read_json_body
from src.api.openapi import NEEDS_SECRET, PROBLEMS_OF_A_BODY, PROBLEMS_OF_A_MESSAGE, answers, json_body
from src.api.secret import check_secret
from src.api.service import MessageService
from src.api.shapes import MessageBody, MessageEventBody, OtherEventBody
from src.api.taking import take
from src.chat.events import MAX_EVENT_BYTES, is_event
from src.chat.silence import Silence
from src.chat_text import CANNED_REPLY
from src.intake.json_body import decode
from src.intake.problems import Problem, in_chat
from src.intake.simple import MAX_BODY_BYTES, read_simple
from src.messages import workflow_id_for

if TYPE_CHECKING:
    from src.chat.hearing import Hearing, Heeded
    from src.config import Settings

router = APIRouter()
log = structlog.get_logger("mika.api")

_DOCUMENTED: dict[str, Any] = {
    "response_model": None,
    "responses": answers(MessageAnswer, *PROBLEMS_OF_A_BODY, *PROBLEMS_OF_A_MESSAGE),
    "openapi_extra": NEEDS_SECRET | json_body(MessageBody, MessageEventBody, OtherEventBody),
}


@router.post("/webhook", **_DOCUMENTED)
@router.post("/webhook/langbot", **_DOCUMENTED)
async def webhook(request: Request) -> dict[str, Any]:
    began = time.monotonic()
    check_secret(request, request.app.state.settings)
    decoded = await _decoded(request)
    if not is_event(decoded):
        return await _simple(request, decoded)
    request.app.state.langbot.saw_event()
    hearing: Hearing = request.app.state.hearing
    heeded = await hearing.langbot(decoded)
    del decoded  # perhaps megabytes of images, which nobody needs while the reply is waited for
    if isinstance(heeded, Silence):
        reason = {"reason": heeded.code, "detail": heeded.detail, "fix": heeded.fix}
        return packed(_answer(None, skip_pipeline=False) | {"success": False, "response": "", **reason})
    return await _event(request, heeded, began)


async def _decoded(request: Request) -> dict[str, Any]:
    """The body; only an event, which has images, may be as large as one. Raises `Problem`."""
    body = await read_json_body(request, MAX_EVENT_BYTES)
    too_large = Problem("message_too_large", f"The body is larger than {MAX_BODY_BYTES} bytes.")
    try:
        decoded = decode(body)
    except Problem as problem:
        is_telling = len(body) <= MAX_BODY_BYTES or problem.code == "message_too_large"
        raise (problem if is_telling else too_large) from None
    if len(body) > MAX_BODY_BYTES and not is_event(decoded):
        raise too_large
    return decoded


async def _simple(request: Request, decoded: dict[str, Any]) -> dict[str, Any]:
    service: MessageService = request.app.state.service
    incoming, message_id = read_simple(decoded)
    workflow_id = workflow_id_for(incoming, message_id)
    try:
        reply = await service.answer(incoming, workflow_id)
    except Problem as problem:
        if problem.workflow_id is None:  # it was not taken, so no other reply will come
            problem.canned_reply = CANNED_REPLY
        raise
    return _answer(workflow_id, skip_pipeline=True) | in_chat(reply.response)


async def _event(request: Request, heeded: Heeded, began: float) -> dict[str, Any]:
    settings: Settings = request.app.state.settings
    service: MessageService = request.app.state.service
    hearing: Hearing = request.app.state.hearing
    # LangBot ignores the answer of a webhook, so the workflow sends the reply to an event, if it can.
    if heeded.incoming.reply_to is not None and settings.langbot_api_base_url is not None:
        # LangBot waits 15 s at most, and for few webhooks at once: it is told as soon as the message cannot be lost.
        sender = request.app.state.sender
        taken = await take(service, sender, settings, heeded.incoming, heeded.workflow_id, began=began)
        hearing.settle(heeded, taken.problem)
        if taken.problem is None:
            return _answer(heeded.workflow_id, skip_pipeline=True)
        not_taken = {"success": False, "code": taken.problem.code, "detail": taken.problem.detail}
        return packed(_answer(None, skip_pipeline=taken.is_answered) | not_taken)
    log.warning("reply_not_sent", hint="set LANGBOT_API_BASE_URL, so that replies to LangBot's events reach the chat")
    with hearing.settled_after(heeded):
        reply = await service.answer(replace(heeded.incoming, reply_to=None), heeded.workflow_id)
    # This reply cannot reach the chat, so LangBot should give its own.
    return _answer(heeded.workflow_id, skip_pipeline=False) | in_chat(reply.response)


def _answer(workflow_id: str | None, *, skip_pipeline: bool) -> dict[str, Any]:
    answer = {"status": "ok", "success": True, "response": None}
    return {**answer, "workflow_id": workflow_id, "skip_pipeline": skip_pipeline}
