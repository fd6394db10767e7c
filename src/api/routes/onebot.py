"""`POST /onebot`: OneBot v11 over HTTP, so that NapCat and the like need no LangBot in between."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import TYPE_CHECKING, Any

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from src.api.answers import OneBotAnswer
from src.api.body import read_json_body
from src.api.openapi import NEEDS_SECRET, PROBLEMS_OF_A_BODY, PROBLEMS_OF_A_MESSAGE, answers, json_body
from src.api.secret import check_secret, is_same
from src.api.taking import take
from src.chat.events import MAX_EVENT_BYTES
from src.chat.hearing import Arrival
from src.chat.onebot_events import OneBotEvent, OneBotMessage, read_message
from src.chat.segments import text_message
from src.chat.silence import Silence
from src.chat_text import CANNED_REPLY, clean
from src.intake.json_body import decode
from src.intake.problems import Problem
from src.messages import ReplyTarget

if TYPE_CHECKING:
    from src.api.service import MessageService
    from src.chat.hearing import Hearing
    from src.config import Settings

router = APIRouter()
log = structlog.get_logger("mika.api")


@router.post(
    "/onebot",
    response_model=None,
    responses=answers(OneBotAnswer, *PROBLEMS_OF_A_BODY, *PROBLEMS_OF_A_MESSAGE) | answers(None),
    openapi_extra=NEEDS_SECRET | json_body(OneBotEvent),
)
async def onebot(request: Request) -> Response:
    began = time.monotonic()
    settings: Settings = request.app.state.settings
    if settings.onebot_secret is None:
        check_secret(request, settings)
    message = await _message(request, settings)
    if message is None:
        return Response(status_code=204)
    hearing: Hearing = request.app.state.hearing
    heeded = await hearing.hear(await _arrival(message, settings))
    if isinstance(heeded, Silence):
        return Response(status_code=204)
    service: MessageService = request.app.state.service
    if settings.onebot_api_url is not None:
        sender = request.app.state.sender
        taken = await take(service, sender, settings, heeded.incoming, heeded.workflow_id, began=began)
        hearing.settle(heeded, taken.problem)
        if taken.problem is not None and not taken.is_answered:
            raise taken.problem
        return JSONResponse({"status": "ok", "workflow_id": heeded.workflow_id})
    try:
        with hearing.settled_after(heeded):
            reply = await service.answer(heeded.incoming, heeded.workflow_id)
    except Problem as problem:
        # OneBot only logs an error, and nobody else answers in this chat.
        failed = {"status": "failed", "code": problem.code, "detail": problem.detail}
        return JSONResponse(_quick_reply(CANNED_REPLY) | failed | {"workflow_id": heeded.workflow_id})
    answer = {"status": "ok", "workflow_id": heeded.workflow_id}
    return JSONResponse(_quick_reply(clean(reply.response)) | answer)


async def _message(request: Request, settings: Settings) -> OneBotMessage | None:
    body = await read_json_body(request, MAX_EVENT_BYTES)
    _check_signature(request, body, settings)
    return read_message(decode(body), request.headers.get("x-self-id", ""))


async def _arrival(message: OneBotMessage, settings: Settings) -> Arrival:
    content = message.content
    own = frozenset({message.self_id, *settings.bot_ids})
    if message.group and content.quoted_id and own.isdisjoint(content.mentions) and settings.onebot_api_url is not None:
        from src.onebot import sender_of  # noqa: PLC0415 - httpx is only needed here

        # A reply names only the message that it is for. (Most programs also add an @, which is enough.)
        content.quoted_sender = await sender_of(settings, content.quoted_id)
    kind = "group" if message.group else "person"
    target = ReplyTarget(message.self_id, kind, message.group or message.user, "onebot")
    return Arrival(
        door="onebot",
        bot=message.self_id,
        user=message.user,
        group=message.group,
        content=content,
        message_id=message.message_id,
        ids=frozenset({message.platform_id}),
        # Without an address, the answer to this request is the reply. Never both.
        target=target if settings.onebot_api_url is not None else None,
        own_accounts=own,
    )


def _check_signature(request: Request, body: bytes, settings: Settings) -> None:
    """On the body as it came. OneBot v11 prescribes SHA-1. Raises `Problem` (`unauthorized`)."""
    if settings.onebot_secret is None:
        return
    digest = hmac.new(settings.onebot_secret.get_secret_value().encode(), body, hashlib.sha1).hexdigest()
    if not is_same(request.headers.get("x-signature", "").lower(), f"sha1={digest}"):
        raise Problem("unauthorized", "X-Signature is missing or not made with ONEBOT_SECRET (NapCat: `token`).")


def _quick_reply(text: str) -> dict[str, Any]:
    """OneBot's quick operation; `at_sender` would be true without a word."""
    return {"reply": text_message(text), "at_sender": False}
