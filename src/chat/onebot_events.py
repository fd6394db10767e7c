"""OneBot v11's events, as posted over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ValidationError

from src.chat import segments
from src.chat.content import Content, short
from src.intake.json_body import invalid
from src.intake.problems import Problem
from src.intake.simple import Id, OptionalId


def _object(value: object) -> object:
    return value if isinstance(value, dict) else {}


class OneBotEvent(BaseModel):
    """What matters here of a message event."""

    message_type: Literal["private", "group"]
    self_id: Id
    user_id: Id
    message: str | list[Any] | dict[str, Any]
    sub_type: Any = None
    group_id: OptionalId = None
    message_id: OptionalId = None
    time: Any = None
    anonymous: Annotated[dict[str, Any], BeforeValidator(_object)] = {}


@dataclass(frozen=True, slots=True)
class OneBotMessage:
    """`group` is empty in a private chat."""

    self_id: str
    user: str
    group: str
    content: Content
    platform_id: str
    message_id: str


def read_message(decoded: dict[str, Any], self_id: str) -> OneBotMessage | None:
    """None for anything that is not somebody's message: heartbeats, notices, requests, and what the bot itself says.

    `self_id`: of the header, for a body without one. Raises `Problem` (`invalid_message`).
    """
    if decoded.get("post_type") != "message" or decoded.get("sub_type") == "notice":
        return None
    try:
        message = OneBotEvent.model_validate({"self_id": self_id, **decoded})
    except ValidationError as error:
        raise invalid(error) from None
    if message.user_id == message.self_id:
        return None
    if message.message_type == "group" and message.group_id is None:
        raise Problem("invalid_message", "`group_id` is missing: where would the reply go?")
    user, group = message.user_id, message.group_id or ""
    if message.message_type == "private":
        group = ""
    elif message.sub_type == "anonymous" and (name := short(message.anonymous.get("id"))):
        user = f"anonymous/{name}"  # all of them have the same user id
    sent_at = short(message.time)
    key = "/".join([message.self_id, group or user, message.message_id or "", sent_at])
    return OneBotMessage(
        self_id=message.self_id,
        user=user,
        group=group,
        content=segments.read(message.message),
        platform_id=message.message_id or "",
        message_id=f"onebot/{key}" if message.message_id else "",
    )
