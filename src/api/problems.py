"""Errors as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from fastapi import Response
from fastapi.responses import JSONResponse
from mika.diagnosis.wording import packed
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from src.intake.problems import KINDS, Kind, Problem, in_chat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI, Request

log = structlog.get_logger("mika.api")


def response_to(problem: Problem) -> JSONResponse:
    extra: dict[str, object] = {"workflow_id": problem.workflow_id} if problem.workflow_id else {}
    extra |= problem.explanation
    if problem.canned_reply is not None:
        extra |= in_chat(problem.canned_reply)
    headers = {"Retry-After": str(problem.retry_after)} if problem.retry_after is not None else {}
    return _render(KINDS[problem.code], problem.detail, problem.code, headers, extra)


def install(app: FastAPI) -> None:
    """Render every error of `app` as a problem."""

    @app.exception_handler(Problem)
    async def on_problem(_request: Request, problem: Problem) -> JSONResponse:
        return response_to(problem)

    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == HTTPStatus.NOT_FOUND:
            return response_to(Problem("not_found", f"There is no {request.url.path} here."))
        status = HTTPStatus(error.status_code)
        return _render(
            Kind(status.value, status.phrase), str(error.detail), status.name.lower(), error.headers or {}, {}
        )

    @app.exception_handler(ClientDisconnect)
    async def on_client_left(request: Request, _error: ClientDisconnect) -> Response:
        log.info("client_left", method=request.method, path=request.url.path)
        return Response(status_code=400)  # nobody gets it

    @app.exception_handler(Exception)
    async def on_bug(_request: Request, _error: Exception) -> JSONResponse:
        # The server logs the traceback. It must not get into this answer, which may be shown in a chat.
        problem = Problem("internal_error", "The API failed on this request; its log has the traceback.")
        return response_to(problem)


def _render(
    kind: Kind, detail: str, code: str, headers: Mapping[str, str], extra: Mapping[str, object]
) -> JSONResponse:
    body = {"type": "about:blank", "title": kind.title, "status": kind.status, "detail": detail, "code": code, **extra}
    return JSONResponse(packed(body), kind.status, dict(headers), media_type="application/problem+json")
