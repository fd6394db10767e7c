"""`GET /workflows/{id}`: the state of a message, for a caller that did not wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request

if TYPE_CHECKING:
    from src.api.service import MessageService

router = APIRouter()


@router.get("/workflows/{workflow_id}")
async def workflow(workflow_id: str, request: Request) -> dict[str, Any]:
    service: MessageService = request.app.state.service
    return await service.describe(workflow_id)
