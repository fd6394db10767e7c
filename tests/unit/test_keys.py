"""Keys as a terminal sends them, what they choose, and what is found."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest
from mika.cli.keys import Ends
from mika.cli.keys.commands import Commands
from mika.cli.keys.decoding import BACKSPACE, CLEAR, ENTER, ESCAPE, PASTED, keys_of
from mika.cli.keys.finding import Found
from mika.cli.screen.selection import Selection, marked, pattern_of
from mika.guard.segments import SegmentWriter
from mika.project.folder import ProjectDir
from mika.records.record import Level


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        ("rq", ["r", "q"]),
        ("中", ["中"]),
        ("\r\n\x7f\x08\x15\x1b", [ENTER, ENTER, BACKSPACE, BACKSPACE, CLEAR, ESCAPE]),
        ("\x1b[A\x1b[1;5C\x1bOP\x1b[15~", []),  # arrows, F1, F5
        ("\x1bq", []),  # Alt-q
        ("a\x1b[200~q\nstop q\x1b[201~b", ["a", f"{PASTED}q\nstop q", "b"]),
        ("\x00\x01\x0c", []),
    ],
)
def test_keys(sent, keys):
    assert keys_of(sent) == keys


def test_the_level_goes_round():
    selection = Selection()
    assert selection.next_level is Level.WARNING
    assert Selection(level=Level.WARNING).next_level is Level.ERROR
    assert Selection(level=Level.ERROR).next_level is None
    assert Selection(only="api", level=Level.ERROR, find="x").words == ("only api", "error and above", "/x")


def test_matches_are_marked_and_colours_stay():
    pattern = pattern_of("a.B")
    assert marked("xa.by A.B\n", pattern) == "x\x1b[7ma.b\x1b[27my \x1b[7mA.B\x1b[27m\n"
    assert marked("\x1b[31ma.b\x1b[0m", pattern) == "\x1b[31m\x1b[7ma.b\x1b[27m\x1b[0m"
    assert marked("\x1b[31m", pattern_of("31")) == "\x1b[31m", "an escape is no text"
    assert pattern_of("") is None


def test_what_is_found_in_the_logs(tmp_path):
    for name, text in (("a", b"one hit\nnothing\n\x1b[1mH\x1b[0mIT two\n"), ("b", b"hit three\n")):
        writer = SegmentWriter(str(tmp_path), name, 1 << 20)
        writer.write(text)
        writer.close()
    found = Found(tmp_path, ["a", "b"], pattern_of("hit"))
    assert len(found) == 3
    assert [line.data for _, line in found.last(2)] == [b"\x1b[1mH\x1b[0mIT two", b"hit three"]
    assert found.step(-1)[1].data == b"one hit"
    assert found.number == 1
    assert found.step(-1) is None
    assert found.step(+1)[1].data == b"\x1b[1mH\x1b[0mIT two"
    assert Found(tmp_path, ["a"], pattern_of("absent")).step(-1) is None


def test_what_is_typed_after_d_is_no_key(tmp_path: Path):
    pressed: list[str] = []
    ends = Ends(stop=lambda: pressed.append("q"), detach=lambda: pressed.append("d"), is_own=True)
    commands = Commands(Mock(), ProjectDir(tmp_path), Mock(), ends, draw=Mock())
    for key in "dqd":
        commands.press(key)
    assert pressed == ["d"]
