"""OneBot v11's messages: a list of segments, or a text with CQ codes (`[CQ:image,file=…]`), which says the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from src.chat.content import Content, Picture, Room, short, text_of
from src.intake.problems import Problem

_CODE = re.compile(r"\[CQ:([A-Za-z0-9_.-]+)((?:,[^\[\]]*)?)\]")
_MAX_DATA = 100
"""Of one CQ code."""
_NOTES = {
    "record": "voice message",
    "video": "video",
    "rps": "rock paper scissors",
    "dice": "dice",
    "shake": "shake",
    "poke": "poke",
    "mface": "emoji",
    "location": "location",
    "contact": "contact card",
    "music": "music",
    "json": "card",
    "xml": "card",
    "forward": "forwarded messages",
}
_NAMED = {"file": ("file", "name"), "share": ("link", "url"), "face": ("emoji", "id")}
_SILENT = {"anonymous", "node"}


def text_message(text: str) -> list[dict[str, Any]]:
    """As a segment: in a plain string, what the model writes could be read as a CQ code."""
    return [{"type": "text", "data": {"text": text}}]


def read(message: str | list[Any] | Mapping[str, Any]) -> Content:
    """Anything that is not a segment is skipped. Raises `Problem` (`message_too_large`)."""
    found = from_cq(message) if isinstance(message, str) else message
    segments = found if isinstance(found, list) else [found]
    content = Content()
    content.room.take(parts=len(segments))
    for segment in segments:
        kind = segment.get("type") if isinstance(segment, Mapping) else None
        data = segment.get("data") if isinstance(segment, Mapping) else None
        if not isinstance(kind, str):
            content.skipped.append("without a type")
        else:
            _read_one(content, kind, data if isinstance(data, Mapping) else {})
    return content


def _read_one(content: Content, kind: str, data: Mapping[str, Any]) -> None:
    if kind == "text":
        content.type(text_of(data.get("text")))
    elif kind == "at":
        account = short(data.get("qq"))
        if account == "all":
            content.parts.append("@all ")
        elif account:
            content.mention(account, short(data.get("name")))
    elif kind == "image":
        # `file` is a name on the OneBot side, unless it is an address or the image itself.
        sources = [text_of(data.get("url")), text_of(data.get("file"))]
        web = next((source for source in sources if source.startswith(("http://", "https://"))), "")
        content.picture(Picture(web, next((source for source in sources if source.startswith("base64://")), "")))
    elif kind == "reply":
        content.quoted_id = short(data.get("id"))
    elif kind in _NAMED:
        word, key = _NAMED[kind]
        name = short(data.get(key)) or short(data.get("file"))
        content.note(f"{word}: {name}" if name else word)
    elif kind in _NOTES:
        content.note(_NOTES[kind])
    elif kind not in _SILENT:
        content.skipped.append(short(kind))


def from_cq(text: str) -> list[dict[str, Any]]:
    """The segments of a text with CQ codes. What only looks like one is text.

    Raises `Problem` (`message_too_large`).
    """
    Room().take(parts=text.count("[CQ:"))
    segments: list[dict[str, Any]] = []

    def add_text(part: str) -> None:
        if part:
            segments.append({"type": "text", "data": {"text": _unescaped(part)}})

    end = 0
    for code in _CODE.finditer(text):
        add_text(text[end : code.start()])
        if code[2].count(",") > _MAX_DATA:
            raise Problem("message_too_large", f"A CQ code has more than {_MAX_DATA} values.")
        pairs = (pair.partition("=") for pair in code[2].split(",")[1:])
        data = {key.strip(): _unescaped(value.replace("&#44;", ",")) for key, _, value in pairs if key.strip()}
        segments.append({"type": code[1], "data": data})
        end = code.end()
    add_text(text[end:])
    return segments


def _unescaped(text: str) -> str:
    """`&amp;` last: `&amp;#91;` is the text `&#91;`."""
    return text.replace("&#91;", "[").replace("&#93;", "]").replace("&amp;", "&")
