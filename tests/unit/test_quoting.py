"""Words in commands that are to be pasted."""

from __future__ import annotations

import json
import shlex

import pytest
from mika.diagnosis import commands
from mika.procfile.words import Part, Word, split
from mika.quoting import command_line, quoted

ODD = [
    "plain",
    "with space",
    "a&b",
    "x'y",
    "a,b",
    "@x",
    "app:create_app()",
    'say "hi"',
    "C:\\my dir\\",
    "机器人 ü",
    "",
    "#1",
]


@pytest.mark.parametrize("word", ODD)
def test_on_posix(word: str):
    assert shlex.split(quoted(word, "linux")) == [word]


@pytest.mark.parametrize("word", ODD)
def test_on_windows_as_a_program_reads_it(word: str):
    """By the rules of CommandLineToArgvW, and so in a Procfile, too."""
    assert parsed(f"python {quoted(word, 'win32')} end") == ["python", word, "end"]


def test_on_windows_nothing_is_in_single_quotes():
    """To cmd.exe they are a part of the word, and `&` in them ends the command."""
    words = ["mika", "workflows", "retry", "order 1", "a&b", r"C:\Users\Jörg\app.py"]
    assert command_line(words, "win32") == r'mika workflows retry "order 1" "a&b" C:\Users\Jörg\app.py'
    assert quoted(json.dumps({"a": 1}), "win32") == r'"{\"a\": 1}"'


def test_hints_are_quoted_for_this_system(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(commands, "quoted", lambda word: quoted(word, "win32"))
    assert commands.for_workflow("workflows retry", "order 1") == '`mika workflows retry "order 1"`'
    assert commands.temporal("x", "host one:7233") == '`temporal x --address "host one:7233"`'
    assert commands.create_namespace("my space") == 'operator namespace create -n "my space"'


def parsed(line: str) -> list[str]:
    words = split(line, windows=True).items
    return ["".join(part.text for part in text_parts(word)) for word in words if isinstance(word, Word)]


def text_parts(word: Word) -> list[Part]:
    assert all(part.kind == "text" for part in word.parts)
    return word.parts
