"""The shapes of what the routes answer, for the OpenAPI document. docs/http-api.md explains them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

Texts = list[list[Any]]
"""The templates of the texts beside it and what fills them, so that mika can show them in Chinese."""


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
    reason: str | None = None
    """Why the bot stays silent."""
    fix: str | None = None
    code: str | None = None
    detail: str | None = None
    texts: Texts | None = None


class N8nAnswer(BaseModel):
    """With `?format=json`. Otherwise these two objects, each on its line: an `item` with the reply, and an `end`."""

    status: Literal["ok"]
    response: str
    workflow_id: str


class OneBotAnswer(BaseModel):
    """OneBot's quick operation, without `reply` if the bot sends its reply by ONEBOT_API_URL."""

    status: Literal["ok", "failed"]
    workflow_id: str
    reply: list[dict[str, Any]] | None = None
    at_sender: bool | None = None
    code: str | None = None
    detail: str | None = None


class SilentMessage(BaseModel):
    at: str
    door: Literal["langbot", "onebot"]
    taken: bool
    workflow_id: str | None
    reason: str | None = None
    detail: str | None = None
    fix: str | None = None


class Silent(BaseModel):
    found: list[SilentMessage]
    remembered: int
    since: str
    texts: Texts | None = None


class ProblemBody(BaseModel):
    """RFC 9457. The others are there where they are known; `response` and `message` are what a chat may show."""

    type: str
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    code: str
    workflow_id: str | None = None
    cause: str | None = None
    fix: str | None = None
    response: str | None = None
    message: list[Plain] | None = None
    texts: Texts | None = None


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
    texts: Texts | None = None


class Health(BaseModel):
    status: Literal["ok"]


class Dependency(BaseModel):
    """And fields of its own, which say what it is."""

    state: Literal["ready", "unavailable"]
    detail: str
    error: Literal["unreachable", "timeout", "denied", "namespace_missing", "no_worker", "failed"] | None = None
    fix: str | None = None


class Readiness(BaseModel):
    status: Literal["ready", "unavailable"]
    temporal: Dependency
    worker: Dependency
    history: Dependency
    langbot: Dependency | None = None
    texts: Texts | None = None


class ShownTurn(BaseModel):
    message: str
    reply: str
    at: str
    message_type: Literal["private", "group"]


class HistoryAnswer(BaseModel):
    turns: list[ShownTurn]


class ForgottenAnswer(BaseModel):
    forgotten: int
