"""`GET /workflows/{id}`: the state of a message, for a caller that did not wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from mika.diagnosis.wording import packed

from src.api.answers import WorkflowAnswer
from src.api.openapi import NEEDS_SECRET, answers
from src.api.secret import check_secret

if TYPE_CHECKING:
    from src.api.service import MessageService

router = APIRouter()


@router.get(
    "/workflows/{workflow_id}",
    response_model=None,
    responses=answers(WorkflowAnswer, "unauthorized", "not_found", "temporal_unavailable"),
    openapi_extra=NEEDS_SECRET,
)
async def workflow(workflow_id: str, request: Request) -> dict[str, Any]:
    check_secret(request, request.app.state.settings)
    service: MessageService = request.app.state.service
    return packed(await service.describe(workflow_id))
