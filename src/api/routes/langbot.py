"""`POST /webhook/langbot`: takes a message and answers with the reply."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog
from fastapi import APIRouter, Request

from src.api.answers import MessageAnswer
from src.api.body import read_json_body
from src.api.models import MAX_BODY_BYTES, SimpleBody, parse
from src.api.openapi import NEEDS_SECRET, PROBLEMS_OF_A_BODY, PROBLEMS_OF_A_MESSAGE, answers, json_body
from src.api.problems import Problem, in_chat
from src.api.secret import check_secret
from src.api.service import MessageService, workflow_id_for
from src.api.taking import take
from src.chat_text import CANNED_REPLY

if TYPE_CHECKING:
    from src.config import Settings

router = APIRouter()
log = structlog.get_logger("mika.api")


@router.post(
    "/webhook/langbot",
    response_model=None,
    responses=answers(MessageAnswer, *PROBLEMS_OF_A_BODY, *PROBLEMS_OF_A_MESSAGE),
    openapi_extra=NEEDS_SECRET | json_body(SimpleBody),
)
async def webhook(request: Request) -> dict[str, Any]:
    settings: Settings = request.app.state.settings
    service: MessageService = request.app.state.service
    check_secret(request, settings)
    received = parse(await read_json_body(request, MAX_BODY_BYTES))
    if received is None:
        return {"status": "ok", "success": False, "response": "", "workflow_id": None, "skip_pipeline": False}
    incoming = received.incoming
    # LangBot ignores the answer of a webhook, so the workflow sends the reply to an event, if it can.
    workflow_sends = incoming.reply_to is not None and settings.langbot_api_base_url is not None
    if received.is_event and not workflow_sends:
        log.warning(
            "reply_not_sent", hint="set LANGBOT_API_BASE_URL, so that replies to LangBot's events reach the chat"
        )
    if not workflow_sends:
        incoming = replace(incoming, reply_to=None)
    workflow_id = workflow_id_for(incoming, received.message_id)
    if workflow_sends:
        # LangBot waits 15 s at most, and for few webhooks at once: it is told as soon as the message cannot be lost.
        problem = await take(service, request.app.state.sender, settings, incoming, workflow_id)
        is_served = problem is None
        answer = {"success": is_served, "response": None, "workflow_id": workflow_id, "skip_pipeline": is_served}
        return {"status": "ok", **answer, **({"code": problem.code, "detail": problem.detail} if problem else {})}
    try:
        reply = await service.answer(incoming, workflow_id)
    except Problem as problem:
        if problem.workflow_id is None:  # it was not taken, so no other reply will come
            problem.canned_reply = CANNED_REPLY
        raise
    return {
        "status": "ok",
        "success": True,
        **in_chat(reply.response),
        "workflow_id": workflow_id,
        # This reply cannot reach the chat of an event, so LangBot should give its own.
        "skip_pipeline": not received.is_event,
    }
