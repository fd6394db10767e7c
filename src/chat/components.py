"""LangBot's message components. They are those of its plugin SDK, in whatever shape its versions send them.

Nothing here trusts a field: what is missing or of another type counts as not given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from src.chat.content import MAX_DEPTH, Content, Picture, short, text_of

_FORWARDED = 50
"""Messages of one forward that are read."""


def read(components: list[Any]) -> Content:
    """Raises `Problem` (`message_too_large`)."""
    content = Content()
    _read_into(content, components, depth=0)
    return content


def source_of(components: list[Any]) -> Mapping[str, Any]:
    """The `Source` component: the message's `id`, and when LangBot received it. Empty if there is none."""
    for component in components:
        if isinstance(component, dict) and component.get("type") == "Source":
            return component
    return {}


def _read_into(content: Content, components: object, depth: int) -> None:
    if not isinstance(components, list) or depth > MAX_DEPTH:
        return
    content.room.take(parts=len(components))
    for component in components:
        kind = component.get("type") if isinstance(component, dict) else None
        reader = _READERS.get(kind) if isinstance(kind, str) else None
        if reader is not None:
            reader(content, component, depth)
        elif kind != "Source":
            content.skipped.append(short(kind) or "without a type")


def _plain(content: Content, component: Mapping[str, Any], depth: int) -> None:
    del depth
    content.type(text_of(component.get("text")))


def _at(content: Content, component: Mapping[str, Any], depth: int) -> None:
    del depth
    if account := short(component.get("target")):
        content.mention(account, short(component.get("display")))


def _at_all(content: Content, component: Mapping[str, Any], depth: int) -> None:
    del component, depth
    content.parts.append("@all ")


def _image(content: Content, component: Mapping[str, Any], depth: int) -> None:
    del depth
    # A `path` is one of LangBot's machine, and nothing that a message names is ever opened here.
    content.picture(Picture(text_of(component.get("url")), text_of(component.get("base64"))))


def _voice(content: Content, component: Mapping[str, Any], depth: int) -> None:
    del depth
    seconds = component.get("length")
    is_known = isinstance(seconds, int) and not isinstance(seconds, bool) and 0 < seconds < 86400
    content.note(f"voice message of {seconds} s" if is_known else "voice message")


def _file(content: Content, component: Mapping[str, Any], depth: int) -> None:
    del depth
    name = short(component.get("name")) or short(component.get("file_name"))
    content.note(f"file: {name}" if name else "file")


def _face(content: Content, component: Mapping[str, Any], depth: int) -> None:
    del depth
    name = short(component.get("face_name")) or short(component.get("face_id"))
    content.note(f"emoji: {name}" if name else "emoji")


def _quote(content: Content, component: Mapping[str, Any], depth: int) -> None:
    if depth == 0:
        content.quoted_id = short(component.get("id"))
        content.quoted_sender = short(component.get("sender_id"))
    inner = Content(content.room)
    _read_into(inner, component.get("origin"), depth + 1)
    content.pictures += inner.pictures
    content.skipped += inner.skipped
    if text := inner.text():
        content.parts.append(f"[in reply to: {text}]\n")


def _forward(content: Content, component: Mapping[str, Any], depth: int) -> None:
    nodes = component.get("node_list")
    lines = []
    for node in nodes[:_FORWARDED] if isinstance(nodes, list) else []:
        if not isinstance(node, dict):
            continue
        inner = Content(content.room)
        _read_into(inner, node.get("message_chain"), depth + 1)
        content.pictures += inner.pictures
        content.skipped += inner.skipped
        lines.append(f"{short(node.get('sender_name')) or short(node.get('sender_id')) or '?'}: {inner.text()}")
    content.note("\n".join(["forwarded messages", *lines]))


def _unknown(content: Content, component: Mapping[str, Any], depth: int) -> None:
    del depth
    content.skipped.append(short(component.get("text")) or "Unknown")


_READERS: dict[str, Callable[[Content, Mapping[str, Any], int], None]] = {
    "Plain": _plain,
    "At": _at,
    "AtAll": _at_all,
    "Image": _image,
    "Voice": _voice,
    "File": _file,
    "Face": _face,
    "Quote": _quote,
    "Forward": _forward,
    "Unknown": _unknown,
}
