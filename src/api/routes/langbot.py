"""`POST /webhook/langbot`: one message in, its reply out."""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog
from fastapi import APIRouter, Request

from src.api.body import read_json_body
from src.api.models import MAX_BODY_BYTES, parse
from src.api.problems import Problem
from src.api.service import MessageService, workflow_id_for

if TYPE_CHECKING:
    from src.config import Settings

router = APIRouter()
log = structlog.get_logger("mika.api")

# LangBot gives up on a webhook after 15 s, and would then let its own pipeline answer as well.
_EVENT_WAIT = 10.0


@router.post("/webhook/langbot")
async def webhook(request: Request) -> dict[str, Any]:
    settings: Settings = request.app.state.settings
    service: MessageService = request.app.state.service
    _check_secret(request, settings)
    received = parse(await read_json_body(request, MAX_BODY_BYTES))
    if received is None:
        return {"status": "ok", "success": False, "response": "", "workflow_id": None, "skip_pipeline": False}
    incoming = received.incoming
    # LangBot ignores what a webhook answers, so the reply to an event is sent by the workflow, if that can send.
    sends = incoming.reply_to is not None and settings.langbot_api_base_url is not None
    if received.event and not sends:
        log.warning(
            "reply_not_sent", hint="set LANGBOT_API_BASE_URL, so that replies to LangBot's events reach the chat"
        )
    if not sends:
        incoming = replace(incoming, reply_to=None)
    workflow_id = workflow_id_for(incoming, received.message_id)
    reply = await service.answer(incoming, workflow_id, limit=_EVENT_WAIT if sends else None)
    return {
        "status": "ok",
        "success": True,
        "response": reply.response if reply else None,
        "workflow_id": workflow_id,
        # A reply that cannot reach the chat must not keep LangBot from giving its own.
        "skip_pipeline": sends or not received.event,
    }


def _check_secret(request: Request, settings: Settings) -> None:
    """A header, or a query parameter because LangBot cannot send headers."""
    if settings.webhook_secret is None:
        return
    given = request.headers.get("x-webhook-secret") or request.query_params.get("secret", "")
    if not hmac.compare_digest(given.encode(), settings.webhook_secret.get_secret_value().encode()):
        raise Problem("unauthorized", "Give WEBHOOK_SECRET as header X-Webhook-Secret or as ?secret=… of the address.")
