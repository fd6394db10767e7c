"""Colours can be read on white and on black, and come from one place."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import mika
import pytest
from mika.cli.screen import colours
from mika.cli.screen.colours import BAD, GOOD, NAMES, QUIET, WAITING, Colour, Palette, depth

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
SIXTEEN = (
    *("000000", "cd0000", "00cd00", "cdcd00", "0000ee", "cd00cd", "00cdcd", "e5e5e5"),
    *("7f7f7f", "ff0000", "00ff00", "ffff00", "5c5cff", "ff00ff", "00ffff", "ffffff"),
)
"""xterm's defaults."""
STEPS = (0, 95, 135, 175, 215, 255)
ALL = {**{name: getattr(colours, name) for name in ("GOOD", "WAITING", "BAD", "QUIET")}, **dict(enumerate(NAMES))}
PACKAGE = Path(mika.__file__).parent
OURS = PACKAGE / "cli" / "screen" / "colours.py"


def xterm(number: int) -> tuple[int, ...]:
    if number < 16:
        return tuple(bytes.fromhex(SIXTEEN[number]))
    if number < 232:
        return tuple(STEPS[(number - 16) // step % 6] for step in (36, 6, 1))
    return (8 + 10 * (number - 232),) * 3


def luminance(rgb: tuple[int, ...]) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (c / 255 for c in rgb)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_contrast_is_computed_as_the_standard_says():
    assert contrast(WHITE, BLACK) == 21
    assert round(contrast(bytes.fromhex("767676"), WHITE), 2) == 4.54, "the example that everybody knows"


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("background", [WHITE, BLACK], ids=["on white", "on black"])
def test_every_colour_can_be_read(name, background):
    colour: Colour = ALL[name]
    assert contrast(colour.rgb, background) >= 4.5
    assert contrast(xterm(colour.number), background) >= 4.5


def test_none_of_the_sixteen_colours_can_be_read_on_both():
    assert not [n for n in range(16) if all(contrast(xterm(n), each) >= 4.5 for each in (WHITE, BLACK))]


def test_names_that_stand_together_differ():
    assert len({colour.rgb for colour in NAMES}) == len(NAMES)
    assert all(one.number != other.number for one, other in itertools.pairwise(NAMES))


@pytest.mark.parametrize(
    ("environ", "platform", "expected"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "linux", "rgb"),
        ({"TERM": "xterm-256color"}, "linux", "256"),
        ({"TERM": "tmux-256color", "COLORTERM": "yes"}, "linux", "256"),
        ({"TERM": "linux"}, "linux", "none"),
        ({"TERM": "xterm"}, "linux", "256"),
        ({"TERM": "screen"}, "linux", "none"),
        ({}, "linux", "256"),
        ({}, "win32", "rgb"),
    ],
)
def test_how_many_colours_a_terminal_has(environ, platform, expected):
    assert depth(environ, platform) == expected


def test_without_colours_what_matters_is_bold():
    plain = Palette("none")
    assert plain.paint("x", BAD) == plain.paint("x", WAITING) == "\x1b[1mx\x1b[0m"
    assert plain.paint("x", GOOD) == plain.paint("x", QUIET) == "x"
    assert (plain.style(BAD), plain.style(GOOD)) == ("bold", "")
    assert Palette("256").paint("x", GOOD) == "\x1b[38;5;29mx\x1b[0m"
    assert Palette("rgb").paint("x", GOOD) == "\x1b[38;2;0;137;11mx\x1b[0m"
    assert (Palette("256").style(GOOD), Palette("rgb").style(GOOD)) == ("color(29)", "#00890b")
    assert Palette("rgb").paint("", GOOD) == Palette("rgb").paint("", None) == ""


def test_no_colour_comes_from_elsewhere():
    names = r"(?:bright_)?(?:black|red|green|yellow|blue|magenta|cyan|white)"
    elsewhere = re.compile(rf"\b(?:[fb]g|dim)=|[\"'](?:bold |dim )?{names}[\"']|\\x1b\[(?:3[0-9]|9[0-7]|38|2)[;m]")
    found = [
        f"{path.relative_to(PACKAGE)}:{number}: {line.strip()}"
        for path in PACKAGE.rglob("*.py")
        if path != OURS
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if elsewhere.search(line)
    ]
    assert not found, "\n".join(found)
