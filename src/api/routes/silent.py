"""`GET /silent`: why the bot did not answer a message, for a while after it came."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from mika.diagnosis.wording import packed

from src.api.answers import Silent
from src.api.openapi import NEEDS_SECRET, answers
from src.api.secret import check_secret
from src.intake.problems import Problem

if TYPE_CHECKING:
    from src.chat.hearing import Hearing

router = APIRouter()


@router.get(
    "/silent",
    response_model=None,
    responses=answers(Silent, "unauthorized", "invalid_message"),
    openapi_extra=NEEDS_SECRET,
)
async def silent(request: Request, id: str = "", text: str = "") -> dict[str, Any]:  # noqa: A002 - the query's names
    """Either is enough; with both, a message is found by any of them."""
    hearing: Hearing = request.app.state.hearing
    check_secret(request, request.app.state.settings)
    if not id.strip() and not text.strip():
        raise Problem("invalid_message", "Ask for `?id=…` (of the message or its workflow) or `?text=…` (all of it).")
    messages = hearing.messages
    since = datetime.fromtimestamp(messages.since, UTC).isoformat(timespec="seconds")
    return packed({"found": messages.find(id.strip(), text), "remembered": len(messages), "since": since})
