"""The shapes of what the routes take, for the OpenAPI document.

The routes read their bodies with parsers of their own, of which a schema could not say everything.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, WithJsonSchema

_TEXT = r"^[^\x00]*\S[^\x00]*$"  # not blank, no NUL
_NUMBER = {"type": "integer"}
Id = Annotated[
    str, WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1, "maxLength": 256, "pattern": _TEXT}, _NUMBER]})
]
OptionalId = Annotated[
    str | None,
    WithJsonSchema(
        {"anyOf": [{"type": "string", "maxLength": 256, "pattern": r"^[^\x00]*$"}, _NUMBER, {"type": "null"}]}
    ),
]


class MessageBody(BaseModel):
    """One message. Other keys are ignored."""

    user_id: Id
    message: str = Field(min_length=1, pattern=r"\S", description="At most 100,000 bytes")
    group_id: OptionalId = None
    message_id: OptionalId = None


class Party(BaseModel):
    id: Id


class MaybeGroup(BaseModel):
    """An empty one is none."""

    id: OptionalId = None


class _EventData(BaseModel):
    sender: Party | Id
    message: list[Any] = Field(description="LangBot's message components")
    bot_uuid: OptionalId = None
    group: MaybeGroup | OptionalId = None
    group_id: OptionalId = None


class MessageEventBody(BaseModel):
    """What LangBot pushes to a webhook when a message arrives."""

    event_type: Literal["bot.person_message", "bot.group_message"]
    data: _EventData


class OtherEventBody(BaseModel):
    """Any other event: understood, and not answered."""

    event_type: Annotated[
        str, WithJsonSchema({"type": "string", "not": {"enum": ["bot.person_message", "bot.group_message"]}})
    ]
    data: Any
