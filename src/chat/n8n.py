"""What LangBot's n8n runner posts: the text under three names, who and where, and all variables of the query."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ValidationError

from src.intake.json_body import invalid
from src.intake.problems import Problem
from src.intake.simple import OptionalId, check_text, number_to_text
from src.messages import IncomingMessage

_KINDS = ("person_", "group_")


def _text(value: object) -> object:
    return value if isinstance(value, str) else ""


def _id_or_none(value: object) -> object:
    """A variable of LangBot may be anything: what is no id is none."""
    value = number_to_text(value)
    return value if isinstance(value, str) and value.strip() and "\0" not in value else None


_Text = Annotated[str, BeforeValidator(_text)]
_Id = Annotated[OptionalId, BeforeValidator(_id_or_none)]


class N8nBody(BaseModel):
    chatInput: _Text = ""  # noqa: N815 - LangBot's name
    message: _Text = ""
    user_message_text: _Text = ""
    user_id: _Id = None
    session_id: _Id = None
    launcher_type: _Text = ""
    launcher_id: _Id = None
    sender_id: _Id = None


def read_n8n(decoded: dict[str, Any]) -> IncomingMessage:
    """The message, as LangBot's webhook would have named its user and its group: the conversation is the same.

    `user_id` is the whole chat (`group_20002`), so in a group the speaker is `sender_id`, where that is sent.
    Raises `Problem` (`invalid_message`, `message_too_large`).
    """
    try:
        body = N8nBody.model_validate(decoded)
    except ValidationError as error:
        raise invalid(error) from None
    text = next((text for text in (body.chatInput, body.message, body.user_message_text) if text.strip()), "")
    chat = body.user_id or body.session_id or ""
    kind = next((kind for kind in _KINDS if chat.startswith(kind) or f"{body.launcher_type}_" == kind), "")
    launcher = body.launcher_id or chat.removeprefix(kind)
    user, group = (body.sender_id or chat, launcher) if kind == "group_" else (body.sender_id or launcher, "")
    if not user:
        raise Problem("invalid_message", "`user_id` is missing.")
    if not text:
        raise Problem("invalid_message", "`chatInput` is empty.")
    check_text(text)
    return IncomingMessage(user, text, group)
