"""Makes a model's text fit for a chat: without markup that chat programs do not render, and in parts.

Clean first, then split.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import regex

CANNED_REPLY = "抱歉，我现在无法回答，请稍后再试。\nSorry, I cannot answer right now. Please try again later."
"""What the user sees when the model has failed for good."""

_FENCE = re.compile(
    r" {0,3}(`{3,10}|~{3,10})(?![`~])[ \t]*([^`\n]*)"
)  # CommonMark's, except that 11 marks are no fence
_REASONING = re.compile(r"\s*<think>.*?</think>\s*", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_INLINE_CODE = re.compile(r"(`[^`\n]+`)")
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(?=\S)")
_BOLD = re.compile(r"\*\*([^\s*](?:[^*\n]*[^\s*])?)\*\*")
_LINK = re.compile(r"!?\[([^\[\]\n]*)\]\(((?:[^()\s]|\([^()\s]*\))+)\)")
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*)+\n")

# Where a text may be cut, best first: after a paragraph, a line, a sentence, a word.
_BREAKS = (
    re.compile(r"\n[ \t]*\n+"),
    re.compile(r"\n"),
    re.compile(r"[.!?…][\"'”’»)\]]*\s|[。！？；…][”’」』）]*"),  # noqa: RUF001 - Chinese
    re.compile(r"\s"),
)
_CHARACTER = regex.compile(r"\X")


def clean(text: str) -> str:
    """`text` without what a chat shows as clutter. Never empty, unless `text` is blank.

    Headings, `**bold**`, links and images become plain text (a link keeps its address, in brackets). Reasoning at the
    start (`<think>`), control characters and repeated blank lines are removed. Code, lists and tables stay as they are:
    they read well as plain text, and a lone `_` or `*` is often meant.
    """
    joined = _well_formed(text)
    visible = _REASONING.sub("", joined, count=1) if _REASONING.match(joined) else joined
    lines: list[str] = []
    fence: _Fence | None = None
    for line in _CONTROL.sub("", visible).split("\n"):
        inside = fence is not None
        fence = _fence_after(fence, line)
        lines.append(line if inside or fence else _plain_line(line).rstrip())
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip() or joined.strip()


def split(text: str, limit: int) -> list[str]:
    """`text` in parts of at most `limit` characters, none of them blank; no part for a blank text.

    Cut after a paragraph if possible, else after a line, a sentence, a word; never inside what is seen as one character
    (unless that alone is longer than `limit`). Code that is cut is closed in one part, and opened again in the next.
    """
    rest = _well_formed(text).strip()
    parts: list[str] = []
    fence: _Fence | None = None
    while rest:
        opening = f"{fence.opening}\n" if fence else ""
        room = limit - len(opening)
        cut = len(rest) if len(rest) <= room else _cut(rest, room)
        after = _state_after(fence, rest[:cut])
        if after and len(rest) > cut:
            # Again, with room for the line that closes the code.
            cut = _before_empty_code(rest, _cut(rest, max(room - len(after.marks) - 1, 1)))
            after = _state_after(fence, rest[:cut])
        part = opening + rest[:cut].rstrip()
        rest = rest[cut:].lstrip("\n")
        if after and rest:
            part += f"\n{after.marks}"
            first, _, others = rest.partition("\n")
            if _fence_after(after, first) is None:  # it has just been closed
                after, rest = None, others.lstrip("\n")
        fence = after if after and 2 * len(after.opening) + 2 < limit // 2 else None
        if part.strip():
            parts.append(part)
    return parts


@dataclass(frozen=True, slots=True)
class _Fence:
    """An open block of code. `marks` close it."""

    marks: str
    language: str

    @property
    def opening(self) -> str:
        return self.marks + self.language


def _fence_after(fence: _Fence | None, line: str) -> _Fence | None:
    """The block of code that is open after `line`, if `fence` was before."""
    found = _FENCE.fullmatch(line)
    if found is None:
        return fence
    marks, info = found[1], found[2].strip()
    if fence is None:
        return _Fence(marks, info.partition(" ")[0][:20])
    closes = not info and marks[0] == fence.marks[0] and len(marks) >= len(fence.marks)
    return None if closes else fence


def _state_after(fence: _Fence | None, text: str) -> _Fence | None:
    for line in text.split("\n"):
        fence = _fence_after(fence, line)
    return fence


def _cut(text: str, room: int) -> int:
    """Where to cut `text`, which is longer than `room`; from 1 to `room`. A part of less than a third is too short."""
    window = text[:room]
    for kind in _BREAKS:
        ends = [found.end() for found in kind.finditer(window)]
        if ends and 3 * ends[-1] >= room:
            return ends[-1]
    # One character may have many code points: accents, an emoji that is joined from several, a flag.
    starts = [found.start() for found in _CHARACTER.finditer(text[: 2 * room])]
    return next((start for start in reversed(starts) if 0 < start <= room), room)


def _before_empty_code(text: str, cut: int) -> int:
    """`cut`, or the start of its last line if that only opens a block of code."""
    kept = text[:cut].rstrip()
    start = kept.rfind("\n") + 1
    return start if start and _FENCE.fullmatch(kept[start:]) else cut


def _plain_line(line: str) -> str:
    pieces = _INLINE_CODE.split(_HEADING.sub("", line))
    pieces[::2] = [_BOLD.sub(r"\1", _LINK.sub(_plain_link, piece)) for piece in pieces[::2]]
    return "".join(pieces)


def _plain_link(found: re.Match[str]) -> str:
    label, address = found[1].strip(), found[2]
    return address if label in {"", address} else f"{label} ({address})"


def _well_formed(text: str) -> str:
    """With line ends as in Unix, and surrogate pairs joined; a lone one becomes U+FFFD, as nothing can send it."""
    unix = text.replace("\r\n", "\n").replace("\r", "\n")
    return unix.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
