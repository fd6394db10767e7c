"""`mika help`: true, and a screen at most."""

from __future__ import annotations

import re

import pytest
from mika import errors
from mika.cli.main import run
from mika.cli.topics import TOPICS
from mika.config.settings import BACKENDS

from tests.unit.test_docs import ROOT, rows


def shown(capsys, *words: str) -> str:
    assert run(["help", *words]) == 0
    return capsys.readouterr().out


def test_help_lists_commands_and_topics(capsys):
    text = shown(capsys)
    for name in ("doctor", "completion", *TOPICS):
        assert f"\n  {name}" in text


@pytest.mark.parametrize("words", [["up"], ["workflows", "retry"], ["ps"]])
def test_help_of_a_command_is_its_own(capsys, words):
    text = shown(capsys, *words)
    assert run([*words, "--help"]) == 0
    assert capsys.readouterr().out == text


@pytest.mark.parametrize("name", TOPICS)
def test_a_topic_fits_a_screen(capsys, name):
    assert TOPICS[name][1] in shown(capsys, name)
    lines = TOPICS[name][1].splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 120


def test_a_command_that_is_a_topic_too_has_both(capsys):
    text = shown(capsys, "config")
    assert "Usage: mika config" in text
    assert "pyproject.toml" in text


def test_the_words_of_a_topic_may_be_apart(capsys):
    assert shown(capsys, "exit", "codes") == shown(capsys, "exit-codes")


def test_an_unknown_topic_is_an_error_with_the_nearest_name(capsys):
    assert run(["help", "procfil"]) == 2
    assert "did you mean 'procfile'?" in capsys.readouterr().err


def test_topics_say_what_the_code_and_the_documentation_say():
    assert {line.split()[0] for line in TOPICS["backends"][1].splitlines() if line[:1].isalpha()} == {*BACKENDS}
    codes = set(re.findall(r"^ *(\d+)  ", TOPICS["exit-codes"][1], re.MULTILINE))
    assert codes == {row[0] for row in rows(ROOT / "docs" / "behaviour.md", "Exit codes")}
    assert {int(code) for code in codes} == {
        errors.OK,
        errors.FAILED,
        errors.USAGE,
        errors.NOT_RUNNING,
        errors.INTERRUPTED,
    }
