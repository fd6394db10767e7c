"""The texts of mika and their translations. `python -m tests.kit.texts` brings the catalogues up to date."""

from __future__ import annotations

import re
import string

from babel.messages import mofile

from tests.kit import texts

_IN_BACKTICKS = re.compile(r"`[^`]+`")


def _messages() -> list[tuple[str, str, str]]:
    """(room, English, Chinese)."""
    return [
        (room, message.id, message.string)
        for room, catalogue in texts.catalogues().items()
        for message in catalogue
        if message.id
    ]


def _fields(template: str) -> set[str]:
    return {name for _text, name, _spec, _conversion in string.Formatter().parse(template) if name is not None}


def test_every_text_is_marked() -> None:
    assert {room: lines for room, lines in texts.unmarked().items() if lines} == {}


def test_every_text_has_a_translation() -> None:
    """And none is translated that nobody shows. If this fails, `python -m tests.kit.texts` tells what to translate."""
    assert {room: set(found) for room, found in texts.in_code().items() if found} == {
        room: {message.id for message in catalogue if message.id and message.string}
        for room, catalogue in texts.catalogues().items()
    }


def test_a_timeout_is_written_as_in_code() -> None:
    assert [text for found in texts.in_code().values() for text in found if "time-out" in text.lower()] == []


def test_the_compiled_catalogue_is_of_today() -> None:
    with texts.COMPILED.open("rb") as file:
        compiled = {message.id: message.string for message in mofile.read_mo(file) if message.id}
    assert compiled == {english: chinese for _room, english, chinese in _messages()}


def test_a_translation_names_the_same_values_and_commands() -> None:
    wrong = [
        f"{room}: {english!r} -> {chinese!r}"
        for room, english, chinese in _messages()
        if sorted(_IN_BACKTICKS.findall(english)) != sorted(_IN_BACKTICKS.findall(chinese))
        or ("{" in english and _fields(english) != _fields(chinese))
    ]
    assert wrong == []
