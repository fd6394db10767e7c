"""`GET` and `DELETE /history/{user_id}`: what is kept of a user, for who asks for it or wants it gone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
from fastapi import APIRouter, HTTPException, Request
from mika.diagnosis.users import shorten
from mika.diagnosis.wording import _

from src.api.answers import ForgottenAnswer, HistoryAnswer
from src.api.hosts import comes_from_this_machine
from src.api.openapi import NEEDS_SECRET, answers
from src.api.secret import check_secret
from src.history.base import HistoryError
from src.intake.problems import Problem

if TYPE_CHECKING:
    from src.config import Settings
    from src.history.base import History

router = APIRouter()
log = structlog.get_logger("mika.api")

_PROBLEMS = ("unauthorized", "only_from_here", "history_unavailable")
_OWN_HEADER = "x-mika"


@router.get(
    "/history/{user_id:path}",
    response_model=None,
    responses=answers(HistoryAnswer, *_PROBLEMS),
    openapi_extra=NEEDS_SECRET,
)
async def show(user_id: str, request: Request, group_id: str | None = None) -> dict[str, Any]:
    """All of a user; with `group_id` only that group, with an empty one only private messages."""
    history = _history_for(request)
    try:
        turns = await history.of_user(user_id, group_id)
    except HistoryError as error:
        raise Problem("history_unavailable", error.text) from None
    shown = [
        {
            "message": turn.message,
            "reply": turn.reply,
            "at": datetime.fromtimestamp(turn.created_at, UTC).isoformat(timespec="seconds"),
            "message_type": "private" if turn.is_private else "group",
        }
        for turn in turns
    ]
    return {"turns": shown}


@router.delete(
    "/history/{user_id:path}",
    response_model=None,
    responses=answers(ForgottenAnswer, *_PROBLEMS),
    openapi_extra=NEEDS_SECRET,
)
async def forget(user_id: str, request: Request, group_id: str | None = None) -> dict[str, Any]:
    """The same choice as for `GET`."""
    history = _history_for(request)
    try:
        count = await history.forget(user_id, group_id)
    except HistoryError as error:
        raise Problem("history_unavailable", error.text) from None
    log.info("history_forgotten", user_id=shorten(user_id), turns=count)
    return {"forgotten": count}


@router.api_route(
    "/history/{user_id:path}", methods=["HEAD", "OPTIONS", "PATCH", "POST", "PUT"], include_in_schema=False
)
async def refuse(user_id: str) -> None:
    """Starlette would allow only the method of the first route."""
    del user_id
    raise HTTPException(405, headers={"Allow": "DELETE, GET"})


def _history_for(request: Request) -> History:
    """Raises `Problem` for who may not see it: who has no secret, or if there is none, who is elsewhere.

    A web page cannot send the header without asking first, and nothing here answers that. Where there is a tunnel or a
    proxy on this machine, nobody can tell who is elsewhere.
    """
    settings: Settings = request.app.state.settings
    check_secret(request, settings)
    is_from_here = comes_from_this_machine(request.scope) and request.headers.get(_OWN_HEADER) is not None
    if settings.webhook_secret is None and (settings.api_allowed_hosts or not is_from_here):
        raise Problem(
            "only_from_here",
            _(
                "Set WEBHOOK_SECRET. Without it, only programs of this machine may ask for a history, with the header"
                " `X-Mika: 1`; and nobody if API_ALLOWED_HOSTS names a tunnel or a proxy."
            ),
        )
    found: History = request.app.state.history
    return found
