"""`GET /openapi.json`: the description of this API, for programs."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from src.api.secret import check_secret

router = APIRouter()


@router.get("/openapi.json", include_in_schema=False)
async def document(request: Request) -> dict[str, Any]:
    check_secret(request, request.app.state.settings)
    found: dict[str, Any] = request.app.openapi()
    return found
