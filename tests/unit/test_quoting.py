"""Words in commands that are to be pasted."""

from __future__ import annotations

import json
import shlex
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from mika.diagnosis import commands
from mika.diagnosis.untaken import how_to_resume
from mika.procfile.words import Part, Word, split
from mika.quoting import command_line, kill_command, quoted, rights_command
from mika.text import with_drive

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


def test_processes_are_ended_by_a_command_of_this_system():
    assert kill_command(7, platform="linux") == "kill 7"
    assert kill_command(7, 8, platform="win32") == "taskkill /F /PID 7 /PID 8", "it takes no list of pids"


def test_rights_are_shown_by_a_command_of_this_system():
    assert rights_command(".mika", "linux") == "ls -la .mika"
    assert rights_command(r"C:\my dir", "win32") == r'icacls "C:\my dir"'


def test_what_is_suspended_is_resumed_by_a_command_of_this_system():
    assert "kill -CONT 7" in how_to_resume(7, "`mika restart w`", platform="linux")
    assert how_to_resume(7, "`mika restart w`", platform="win32") == "`mika restart w`"


def test_a_network_drive_keeps_its_letter():
    """cmd.exe cannot work in a folder whose path begins with two backslashes."""
    drive, share = PureWindowsPath(r"N:\shop"), PureWindowsPath(r"\\server\share\shop")
    local = PureWindowsPath(r"C:\work\shop")
    assert with_drive(drive, share) == drive
    assert with_drive(share, share) == share
    assert with_drive(drive, local) == local, "a link, or a drive made by subst"
    assert with_drive(PurePosixPath("/a/b"), PurePosixPath("/c")) == PurePosixPath("/c")


def parsed(line: str) -> list[str]:
    words = split(line, windows=True).items
    return ["".join(part.text for part in text_parts(word)) for word in words if isinstance(word, Word)]


def text_parts(word: Word) -> list[Part]:
    assert all(part.kind == "text" for part in word.parts)
    return word.parts
