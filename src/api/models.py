"""What the webhook accepts: the simple body, and the events that LangBot pushes.

LangBot's n8n runner also posts the simple body (its other keys are ignored), and reads `response` of the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, StringConstraints, ValidationError
from pydantic_core import ErrorDetails, from_json

from src.api.problems import Problem
from src.messages import IncomingMessage, ReplyTarget

MAX_BODY_BYTES = 1024 * 1024
MAX_MESSAGE_BYTES = 100_000
_EVENTS = {"bot.person_message": "person", "bot.group_message": "group"}


def _number_to_text(value: object) -> object:
    """OneBot's user ids are numbers. `True` is an int in Python, but not an id."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _empty_to_none(value: object) -> object:
    value = _number_to_text(value)
    return None if isinstance(value, str) and not value.strip() else value


_IdText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=256)]
Id = Annotated[_IdText, BeforeValidator(_number_to_text)]
OptionalId = Annotated[_IdText | None, BeforeValidator(_empty_to_none)]


class SimpleBody(BaseModel):
    user_id: Id
    message: str
    group_id: OptionalId = None
    message_id: OptionalId = None


class _Party(BaseModel):
    id: Id


class _EventData(BaseModel):
    """The relevant parts of a webhook event, see https://docs.langbot.app; `sender.name` is always empty there."""

    sender: _Party
    message: list[dict[str, Any]]
    bot_uuid: OptionalId = None
    group: _Party | None = None


class _Event(BaseModel):
    event_type: str
    data: _EventData


@dataclass(frozen=True, slots=True)
class Received:
    """A valid body. `message_id` is empty if the sender gave none. `is_event`: LangBot pushed it."""

    incoming: IncomingMessage
    message_id: str
    is_event: bool


def parse(body: bytes) -> Received | None:
    """The message in a body; None for an event without text.

    Raises `Problem` (`invalid_message`, `message_too_large`).
    """
    try:
        decoded = from_json(body)
    except ValueError as error:
        raise Problem("invalid_message", f"The body is not JSON: {error}") from None
    if not isinstance(decoded, dict):
        raise Problem("invalid_message", "The body must be a JSON object with `user_id` and `message`.")
    try:
        if isinstance(decoded.get("event_type"), str) and "data" in decoded:
            received = _from_event(decoded)
        else:
            received = _from_simple(SimpleBody.model_validate(decoded))
    except ValidationError as error:
        raise Problem("invalid_message", "; ".join(_one_line(item) for item in error.errors())) from None
    if received and len(received.incoming.message.encode()) > MAX_MESSAGE_BYTES:
        raise Problem("message_too_large", f"`message` is larger than {MAX_MESSAGE_BYTES} bytes.")
    return received


def _from_simple(body: SimpleBody) -> Received:
    if not body.message.strip():
        raise Problem("invalid_message", "`message` is empty.")
    return Received(
        IncomingMessage(body.user_id, body.message, body.group_id or ""), body.message_id or "", is_event=False
    )


def _from_event(decoded: dict[str, Any]) -> Received | None:
    target_type = _EVENTS.get(decoded["event_type"])
    if target_type is None:
        return None
    data = _Event.model_validate(decoded).data
    parts = data.message
    text = "".join(part["text"] for part in parts if part.get("type") == "Plain" and isinstance(part.get("text"), str))
    if not text.strip():
        return None
    # `uuid` is new in every push. The platform's own id stays the same, and is unique within one bot.
    source_ids = [part.get("id") for part in parts if part.get("type") == "Source"]
    message_id = f"{data.bot_uuid}/{source_ids[0]}" if source_ids and source_ids[0] not in (None, "") else ""
    group_id = data.group.id if data.group and target_type == "group" else ""
    target = ReplyTarget(data.bot_uuid, target_type, group_id or data.sender.id) if data.bot_uuid else None
    return Received(IncomingMessage(data.sender.id, text, group_id, target), message_id, is_event=True)


def _one_line(item: ErrorDetails) -> str:
    location = ".".join(str(part) for part in item["loc"]) or "body"
    return f"`{location}`: {item['msg']}"
