"""The shapes of what the routes answer, for the OpenAPI document. docs/http-api.md explains them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class Plain(BaseModel):
    type: Literal["Plain"]
    text: str


class MessageAnswer(BaseModel):
    """`message` is the reply once more, as LangBot's components. `code` and `detail` say why an event was not taken."""

    status: Literal["ok"]
    success: bool
    response: str | None
    message: list[Plain] | None = None
    workflow_id: str | None
    skip_pipeline: bool
    code: str | None = None
    detail: str | None = None


class WorkflowError(BaseModel):
    code: str
    detail: str


class WorkflowAnswer(BaseModel):
    workflow_id: str
    status: Literal["running", "completed", "failed", "timed_out", "canceled", "terminated"]
    response: str | None
    error: WorkflowError | None = None
    cause: str | None = None
    fix: str | None = None


class Health(BaseModel):
    status: Literal["ok"]


class Dependency(BaseModel):
    """And fields of its own, which say what it is."""

    state: Literal["ready", "unavailable"]
    detail: str
    error: Literal["unreachable", "timeout", "denied", "namespace_missing", "no_worker", "failed"] | None = None


class Readiness(BaseModel):
    status: Literal["ready", "unavailable"]
    temporal: Dependency
    worker: Dependency
    history: Dependency
