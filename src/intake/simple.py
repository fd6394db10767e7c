"""The simple body of the webhook: `{"user_id", "message", "group_id"?, "message_id"?}`.

LangBot's n8n runner posts it, too (its other keys are ignored), and reads `response` of the answer.
"""

from __future__ import annotations

from typing import Annotated, Any

from mika.diagnosis.wording import _
from pydantic import AfterValidator, BaseModel, BeforeValidator, StringConstraints, ValidationError

from src.intake.json_body import invalid
from src.intake.problems import Problem
from src.messages import IncomingMessage

MAX_BODY_BYTES = 1024 * 1024
MAX_MESSAGE_BYTES = 100_000


def number_to_text(value: object) -> object:
    """OneBot's user ids are numbers. `True` is an int in Python, but not an id."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def empty_to_none(value: object) -> object:
    value = number_to_text(value)
    return None if isinstance(value, str) and not value.strip() else value


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain NUL")
    return value


_IdText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=256), AfterValidator(_no_nul)
]
Id = Annotated[_IdText, BeforeValidator(number_to_text)]
OptionalId = Annotated[_IdText | None, BeforeValidator(empty_to_none)]


class SimpleBody(BaseModel):
    """Other keys are ignored."""

    user_id: Id
    message: str
    group_id: OptionalId = None
    message_id: OptionalId = None


def read_simple(decoded: dict[str, Any]) -> tuple[IncomingMessage, str]:
    """The message, and its id or an empty text. Raises `Problem` (`invalid_message`, `message_too_large`)."""
    try:
        body = SimpleBody.model_validate(decoded)
    except ValidationError as error:
        raise invalid(error) from None
    check_text(body.message)
    return IncomingMessage(body.user_id, body.message, body.group_id or ""), body.message_id or ""


def check_text(text: str) -> None:
    """Raises `Problem` (`invalid_message`, `message_too_large`)."""
    if not text.strip():
        raise Problem("invalid_message", _("`message` is empty."))
    if len(text.encode()) > MAX_MESSAGE_BYTES:
        detail = _("`message` is larger than {count} bytes.", count=MAX_MESSAGE_BYTES)
        raise Problem("message_too_large", detail)
