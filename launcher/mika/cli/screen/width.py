"""How wide a text is on a terminal, in columns: a Chinese character takes two of them."""

from __future__ import annotations

import re

from mika.text import plain

# Chinese breaks between any two characters, but no line begins with a closing mark, or ends with an opening one.
_OPENING = r"（「『《\[("
_CLOSING = "，。：；、！？）」』》…"
_BREAKABLE = rf"\s+|[{_OPENING}]*(?:[\u2e80-\uffef]|[^\s\u2e80-\uffef]+)[{_CLOSING}]*"
"""Compiled only where Chinese is shown."""


def width(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """With spaces up to `columns`; with `right` they come before it."""
    spaces = " " * (columns - width(text))
    return spaces + text if right else text + spaces


def cut(text: str, columns: int) -> str:
    """In one line, without escapes, and at most `columns` wide: an ellipsis stands for what does not fit."""
    return fitted("".join(filter(str.isprintable, " ".join(plain(text).split()))), columns)


def below(text: str, columns: int) -> str:
    """With its further lines below the first one, which begins at that column: none of them looks like one of ours."""
    return text.replace("\n", f"\n{' ' * columns}")


def fitted(text: str, columns: int) -> str:
    """At most `columns` wide: an ellipsis stands for what does not fit."""
    if width(text) <= columns:
        return text
    while text and width(text) >= columns:
        text = text[: columns - 1] if len(text) >= columns else text[:-1]
    return f"{text.rstrip()}…" if columns > 0 else ""


def wrapped(text: str, columns: int) -> list[str]:
    """The lines of a paragraph, each at most `columns` wide unless one word is wider."""
    lines = [""]
    for match in re.finditer(_BREAKABLE, " ".join(text.split())):
        part = match.group()
        if width(lines[-1] + part.rstrip()) > columns and lines[-1]:
            lines.append("")
        lines[-1] += part if lines[-1] else part.lstrip()
    return [line.rstrip() for line in lines]
