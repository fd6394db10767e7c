"""All colours, by what they are for. Each has a contrast of at least 4.5:1 on white and on black (WCAG 2.2, 1.4.3).

None of a terminal's 16 colours has that on both (xterm's palette), so these are of the 16 million, or of the palette of
256. A terminal with fewer shows bold in place of a colour. No meaning is in a colour alone: a word always says it, too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Literal

from mika.frozen import frozen

Depth = Literal["rgb", "256", "none"]


@frozen
class Colour:
    """`number` in xterm's palette of 256. `is_loud`: bold where there are no colours."""

    rgb: tuple[int, int, int]
    number: int
    is_loud: bool = False


GOOD = Colour((0x00, 0x89, 0x0B), 29)
WAITING = Colour((0xB9, 0x5C, 0x00), 163, is_loud=True)
"""Not ready yet, or a warning."""
BAD = Colour((0xE9, 0x13, 0x13), 131, is_loud=True)
QUIET = Colour((0x76, 0x76, 0x76), 243)
"""What is read last: times, fields of a log line."""
NAMES = (
    Colour((0x00, 0x81, 0x95), 29),
    Colour((0x98, 0x51, 0xE0), 98),
    Colour((0x95, 0x70, 0x00), 163),
    Colour((0x00, 0x70, 0xF1), 63),
    Colour((0xCD, 0x17, 0xCD), 131),
    Colour((0x00, 0x86, 0x64), 29),
    Colour((0xDF, 0x19, 0x7C), 98),
    Colour((0x7A, 0x7A, 0x00), 163),
)
"""Those of processes, in turn."""
_HAVE_256 = ("xterm", "xterm-kitty", "xterm-ghostty", "alacritty", "foot", "wezterm")
"""Terminals that do not say so in their name. What calls itself `xterm` (PuTTY, `docker run -t`) has them, too."""


class Palette:
    """The colours as one terminal shows them."""

    def __init__(self, depth: Depth) -> None:
        self._depth = depth
        self._starts: dict[Colour, str] = {}

    def paint(self, text: str, colour: Colour | None) -> str:
        if colour is None or not text:
            return text
        start = self._starts.get(colour)
        if start is None:
            start = self._starts[colour] = self._start(colour)
        return f"{start}{text}\x1b[0m" if start else text

    def style(self, colour: Colour) -> str:
        """For rich."""
        match self._depth:
            case "rgb":
                return "#{:02x}{:02x}{:02x}".format(*colour.rgb)
            case "256":
                return f"color({colour.number})"
        return "bold" if colour.is_loud else ""

    def _start(self, colour: Colour) -> str:
        match self._depth:
            case "rgb":
                return "\x1b[38;2;{};{};{}m".format(*colour.rgb)
            case "256":
                return f"\x1b[38;5;{colour.number}m"
        return "\x1b[1m" if colour.is_loud else ""


def palette() -> Palette:
    """That of this terminal, as its environment describes it."""
    return Palette(depth(os.environ))


def depth(environ: Mapping[str, str], platform: str = sys.platform) -> Depth:
    """Windows' consoles show all colours since 2016. Elsewhere, terminals say in COLORTERM that they do."""
    if platform == "win32" or environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return "rgb"
    term = environ.get("TERM", "")
    if term in ("", "dumb"):  # colours only if FORCE_COLOR asks for them: the log of a CI, a page
        return "256"
    is_known = term in _HAVE_256 or "256" in term or "direct" in term
    return "256" if is_known or environ.get("COLORTERM") else "none"


def paint(text: str, colour: Colour | None) -> str:
    return palette().paint(text, colour)
