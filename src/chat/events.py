"""The events that LangBot pushes, as its versions send them; see https://docs.langbot.app."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ValidationError

from src.chat import components
from src.chat.content import Content, short
from src.chat.silence import Silence
from src.intake.json_body import invalid
from src.intake.simple import Id, OptionalId, empty_to_none
from src.outside import path_part

MAX_EVENT_BYTES = 15 * 1024 * 1024
"""An inlined image of 10 MB, as base64, and the rest."""
_TYPES = {"bot.person_message": "person", "bot.group_message": "group"}


def _party(value: object) -> object:
    """A person or a group is an object with an `id`; some forms have only the id itself."""
    return {"id": value} if isinstance(value, str | int) and not isinstance(value, bool) else value


def _optional_party(value: object) -> object:
    """An empty one is none: `null`, `""`, `{}` and `{"id": ""}`."""
    value = _party(value)
    return None if isinstance(value, dict) and empty_to_none(value.get("id")) is None else value


def _fits_a_path(value: str | None) -> str | None:
    """The bot's id becomes a part of an address in LangBot's API."""
    if value is not None:
        path_part(value)
    return value


class Party(BaseModel):
    id: Id


class EventData(BaseModel):
    """What matters here; `sender.name` is always empty for QQ."""

    sender: Annotated[Party, BeforeValidator(_party)]
    message: list[Any]
    bot_uuid: Annotated[OptionalId, AfterValidator(_fits_a_path)] = None
    group: Annotated[Party | None, BeforeValidator(_optional_party)] = None
    group_id: OptionalId = None
    timestamp: Any = None


class PushedEvent(BaseModel):
    """The JSON that LangBot pushes, before it is known whether the bot has to do with it."""

    event_type: str
    uuid: Any = None
    data: EventData


@dataclass(frozen=True, slots=True)
class Event:
    """A message that LangBot pushed. `group` and `bot` are empty if there is none."""

    uuid: str
    bot: str
    user: str
    group: str
    is_group: bool
    content: Content
    platform_id: str
    """The platform's own id of the message; empty if LangBot names none."""
    message_id: str
    """The same whenever LangBot pushes this message; empty if that cannot be known."""


def is_event(decoded: dict[str, Any]) -> bool:
    return isinstance(decoded.get("event_type"), str) and "data" in decoded


def read_event(decoded: dict[str, Any]) -> Event | Silence:
    """Raises `Problem` (`invalid_message`)."""
    kind = _TYPES.get(decoded["event_type"])
    if kind is None:
        name = short(decoded["event_type"])
        return Silence("not_a_message", f"an event of the type {name!r}", "nothing is to be done: it is no message")
    try:
        event = PushedEvent.model_validate(decoded)
    except ValidationError as error:
        raise invalid(error) from None
    data = event.data
    named = data.group.id if data.group else data.group_id or ""
    if kind == "group" and not named:
        return Silence(
            "group_unknown",
            "a group event without a group id (`data.group.id` or `data.group_id`): where would its reply go?",
            "check the LangBot adapter that sends it, or update LangBot",
        )
    group = named if kind == "group" else ""
    bot, user = data.bot_uuid or "", data.sender.id
    source = components.source_of(data.message)
    platform_id = short(source.get("id"))
    # `uuid` is new in every push. The platform's id is a counter, which may begin anew: the time tells them apart. That
    # of the event stays the same; the one in Source is when LangBot received it, which is all that some adapters have.
    sent_at = _seconds(data.timestamp) or _seconds(source.get("timestamp"))
    message_id = "/".join([bot, kind, group or user, platform_id, sent_at]) if platform_id else ""
    return Event(
        uuid=short(event.uuid),
        bot=bot,
        user=user,
        group=group,
        is_group=kind == "group",
        content=components.read(data.message),
        platform_id=platform_id,
        message_id=message_id,
    )


def _seconds(value: object) -> str:
    """A time as text, the same for `5` and `5.0`; empty if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    try:
        seconds = float(value)
    except OverflowError:  # a whole number with hundreds of digits
        return ""
    return f"{seconds:.3f}" if math.isfinite(seconds) else ""
