"""What the model is told beside the message."""

from __future__ import annotations

import os

import pytest

from src.messages import Turn
from src.prompt import DEFAULT, SystemPrompt, newest_that_fit, tokens_of


@pytest.fixture
def file(tmp_path):
    return tmp_path / "prompts" / "mika.md"


def write(file, content):
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)


def test_the_file_is_read_again_when_it_has_changed(file):
    prompt = SystemPrompt(file)
    assert prompt.text() == DEFAULT
    write(file, b"You are a pirate.\n")
    assert prompt.text() == "You are a pirate."
    write(file, "Du bist ein Dichter.".encode("utf-8-sig"))
    assert prompt.text() == "Du bist ein Dichter."
    write(file, b" \n")
    assert prompt.text() == DEFAULT
    write(file, b"Back.")
    assert prompt.text() == "Back."
    file.unlink()
    assert prompt.text() == DEFAULT


def test_an_editor_that_replaces_the_file_is_noticed(file):
    write(file, b"One.")
    prompt = SystemPrompt(file)
    assert prompt.text() == "One."
    other = file.with_name("new")
    other.write_bytes(b"Two.")
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.replace(file)
    assert prompt.text() == "Two."


@pytest.mark.parametrize("content", [b"\xff\xfe\x00bad", b"x" * 100_001])
def test_what_cannot_be_read_changes_nothing(file, content):
    write(file, b"One.")
    prompt = SystemPrompt(file)
    assert prompt.text() == "One."
    write(file, content)
    assert prompt.text() == "One."
    assert prompt.text() == "One."


def test_a_folder_in_its_place(file):
    file.mkdir(parents=True)
    assert SystemPrompt(file).text() == DEFAULT


def test_the_newest_turns_that_fit():
    turns = [Turn("m" * 40, "r" * 40) for _ in range(10)]  # 28 tokens each
    assert newest_that_fit(turns, 1000) == turns
    assert newest_that_fit(turns, 60) == turns[-2:]
    assert newest_that_fit([*turns, Turn("好" * 4000, "r")], 508) == [Turn("好" * 250, "r")]
    assert newest_that_fit(turns, 0) == []
    assert newest_that_fit([], 100) == []


def test_about_how_many_tokens():
    assert tokens_of("") == 0
    assert tokens_of("Hello, how are you?") == 5
    assert tokens_of("你好 你怎么样") == 7
