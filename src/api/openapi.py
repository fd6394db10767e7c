"""What a route says of itself in the OpenAPI document, where its function's signature does not say it.

    @router.post(
        "/webhook/x",
        response_model=None,
        responses=answers(Answer, *PROBLEMS_OF_A_BODY, *PROBLEMS_OF_A_MESSAGE),
        openapi_extra=NEEDS_SECRET | json_body(Body),
    )

The routes read their bodies themselves (with a limit of their own, or as raw bytes that are signed), so FastAPI cannot
know them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from src.api.answers import ProblemBody
from src.intake.problems import KINDS

if TYPE_CHECKING:
    from fastapi import FastAPI

    from src.config import Settings

_REF = "#/components/schemas/{model}"
_SCHEMES = {
    "header": {"type": "apiKey", "in": "header", "name": "X-Webhook-Secret"},
    "query": {"type": "apiKey", "in": "query", "name": "secret"},
}
NEEDS_SECRET: dict[str, Any] = {"security": [{name: []} for name in _SCHEMES]}
"""For `openapi_extra`, of a route that asks for WEBHOOK_SECRET."""

PROBLEMS_OF_A_BODY = (
    "unauthorized",
    "invalid_message",
    "unsupported_media_type",
    "message_too_large",
    "request_timeout",
)
PROBLEMS_OF_A_MESSAGE = (
    "temporal_unavailable",
    "no_worker",
    "api_stopping",
    "busy",
    "already_answered",
    "worker_unresponsive",
    "activity_paused",
    "workflow_timeout",
    "activity_failed",
    "workflow_stopped",
)
_EVERYWHERE = ("host_not_allowed", "api_overloaded", "internal_error")

_models: set[type[BaseModel]] = set()


def answers(model: type[BaseModel] | None, *codes: str) -> dict[int | str, dict[str, Any]]:
    """For `responses`: 200 with `model` (204 without), and the problems with these codes.

    Every route may also answer with those of `_EVERYWHERE`.
    """
    found: dict[int | str, dict[str, Any]] = {}
    if model is None:
        found[204] = {"description": "Nothing to say"}
    else:
        found[200] = described("Done", model)
    return found | problems(*codes, *_EVERYWHERE)


def described(text: str, model: type[BaseModel], *media_types: str) -> dict[str, Any]:
    """For `responses`: an answer in JSON, or in these media types."""
    schema = {"schema": _schema(model)}
    return {"description": text, "content": dict.fromkeys(media_types or ("application/json",), schema)}


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """For `responses`: one entry per status."""
    titles: dict[int | str, list[str]] = {}
    for code in codes:
        titles.setdefault(KINDS[code].status, []).append(f"`{code}`: {KINDS[code].title}")
    content = {"application/problem+json": {"schema": _schema(ProblemBody)}}
    return {
        status: {"description": ". ".join(lines), "content": content} | _retry_after(status)
        for status, lines in titles.items()
    }


def json_body(*models: type[BaseModel]) -> dict[str, Any]:
    """For `openapi_extra`: a required JSON body of one of these shapes."""
    schemas = [_schema(model) for model in models]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def install(app: FastAPI, settings: Settings) -> None:
    """Make `app.openapi()` complete."""
    app.openapi = partial(_document, app, settings)  # type: ignore[method-assign]


def _document(app: FastAPI, settings: Settings) -> dict[str, Any]:
    if not app.openapi_schema:
        found = get_openapi(title=app.title, version="1", routes=app.routes)
        modes: list[tuple[type[BaseModel], Literal["validation"]]] = [(model, "validation") for model in _models]
        _, definitions = models_json_schema(modes, ref_template=_REF)
        has_secret = settings.webhook_secret is not None
        found["components"] = {"schemas": definitions["$defs"]} | ({"securitySchemes": _SCHEMES} if has_secret else {})
        for operation in (operation for path in found["paths"].values() for operation in path.values()):
            if not has_secret:
                operation.pop("security", None)
            if "HTTPValidationError" in str(operation["responses"].get("422")):  # FastAPI's, for any path parameter
                del operation["responses"]["422"]
        app.openapi_schema = found
    return app.openapi_schema


def _schema(model: type[BaseModel]) -> dict[str, str]:
    _models.add(model)
    return {"$ref": _REF.format(model=model.__name__)}


def _retry_after(status: int | str) -> dict[str, Any]:
    if not any(kind.retry_after is not None for kind in KINDS.values() if kind.status == status):
        return {}
    header = {"description": "Seconds; only where a retry may help", "schema": {"type": "integer"}}
    return {"headers": {"Retry-After": header}}
