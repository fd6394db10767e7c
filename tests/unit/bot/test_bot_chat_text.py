"""Texts for the chat: cleaned, and cut where a reader would cut them."""

from __future__ import annotations

import unicodedata

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from src.chat_text import clean, split
from tests.kit.machine import cpu_limit

FAMILY = "👨\u200d👩\u200d👧"
PIECES = st.sampled_from(
    [
        "a",
        "Hello. ",
        "你好。",
        "\n",
        "\n\n",
        " ",
        FAMILY,
        "e\u0301",
        "🇩🇪",
        "**",
        "[a](b)",
        "`",
        "```",
        "```py\n",
        "\n```\n",
        "~~~",
        "\r\n",
    ]
)

TEXTS = st.lists(PIECES | st.text(max_size=5), max_size=60).map("".join)


def test_a_short_text_is_one_part():
    assert split("hello", 2000) == ["hello"]
    assert split("x" * 2000, 2000) == ["x" * 2000]
    assert split(" \n\t ", 2000) == []


def test_paragraphs_before_sentences_before_words():
    first, second = "One. Two. Three.", "Four. Five. Six."
    assert split(f"{first}\n\n{second}", 20) == [first, second]
    assert split(f"{first} {second}", 20) == ["One. Two. Three.", "Four. Five. Six."]
    assert split("one two three four", 10) == ["one two", "three four"]
    assert split("第一句话。第二句话。第三句话。", 11) == ["第一句话。第二句话。", "第三句话。"]
    assert split("x" * 25, 10) == ["x" * 10, "x" * 10, "x" * 5]


def test_a_short_first_paragraph_does_not_stand_alone_before_a_cut():
    parts = split("Hi!\n\n" + "A sentence. " * 20, 100)
    assert parts[0].startswith("Hi!\n\nA sentence.")
    assert parts[0].endswith("sentence.")


@pytest.mark.parametrize("character", [FAMILY, "e\u0301", "🇩🇪", "👍🏽", "क्षि", "\u1112\u1161\u11ab", "\ud83d\ude00"])
def test_a_character_is_never_cut(character):
    whole = unicodedata.normalize("NFC", character) if character == "\ud83d\ude00" else character
    whole = whole.encode("utf-16", "surrogatepass").decode("utf-16")
    for limit in range(len(whole), 3 * len(whole)):
        assert set("".join(split(character * 9, limit)).split(whole)) == {""}
        assert all(set(part.split(whole)) == {""} for part in split(character * 9, limit))


def test_code_is_closed_in_one_part_and_opened_again_in_the_next():
    code = "\n".join(f"line {number}" for number in range(20))
    parts = split(f"Look:\n\n```python\n{code}\n```\n\nThat is all.", 80)
    assert len(parts) > 2
    for part in parts:
        assert part.count("```") % 2 == 0
    assert parts[1].startswith("```python\nline")
    assert parts[-1].endswith("That is all.")
    lines = [line for part in parts for line in part.split("\n") if line.startswith("line")]
    assert lines == code.split("\n")


def test_no_part_has_an_empty_block_of_code():
    for size in range(30, 60):
        parts = split(f"{'word ' * 8}\n```py\n{'x = 1; ' * 8}\n```\nend of it", size)
        assert not any("```py\n```" in part or part.strip() in {"```", "```\n```"} for part in parts)


@given(TEXTS, st.integers(40, 120))
@example("a" * 39 + FAMILY, 40)
@example("```" + "x" * 200, 40)
def test_nothing_is_lost_and_every_part_fits(text, limit):
    parts = split(text, limit)
    assert all(0 < len(part) <= limit for part in parts)
    assert all(part.strip() for part in parts)
    if "```" not in text and "~~~" not in text:
        shown = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        assert "".join("".join(parts).split()) == "".join(shown.split())


@given(st.lists(st.sampled_from([FAMILY, "e\u0301", "🇩🇪", "x", "👍🏽"]), max_size=80).map("".join))
def test_parts_have_the_characters_of_the_whole(text):
    whole = regex.findall(r"\X", text)
    assert [character for part in split(text, 20) for character in regex.findall(r"\X", part)] == whole


def test_one_character_that_is_longer_than_the_limit_is_cut_all_the_same():
    assert all(len(part) <= 40 for part in split("e" + "\u0301" * 500, 40))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("# Title\n\ntext", "Title\n\ntext"),
        ("a **bold** word, **two words** and 2 ** 3 ** 4", "a bold word, two words and 2 ** 3 ** 4"),
        ("see [the docs](https://example.org/a_(b))!", "see the docs (https://example.org/a_(b))!"),
        ("[https://example.org](https://example.org)", "https://example.org"),
        ("![a cat](https://example.org/c.png)", "a cat (https://example.org/c.png)"),
        ("`**kwargs**` and __init__ and *a*", "`**kwargs**` and __init__ and *a*"),
        ("```py\n# no title\nx = **y**\n```", "```py\n# no title\nx = **y**\n```"),
        ("<think>secret\nthoughts</think>\n\nHello", "Hello"),
        ("a\x00b\x1b[31m\r\nc", "ab[31m\nc"),
        ("a\n\n\n \n\nb  \n", "a\n\nb"),
        ("#hashtag and # not a title", "#hashtag and # not a title"),
        ("half \ud83d pair", "half \ufffd pair"),
        ("\ud83d\ude00", "😀"),
        ("<think>only this</think>", "<think>only this</think>"),
        (" ", ""),
    ],
)
def test_clean(text, shown):
    assert clean(text) == shown


@given(TEXTS)
def test_clean_empties_nothing_and_what_it_gives_can_be_sent(text):
    shown = clean(text)
    shown.encode()
    assert bool(shown) == bool(text.strip())


@pytest.mark.parametrize(
    "piece", ["**a ", "[a](", "<think>", "`", "```\n", "(", "a\u0301", "\n \n", "![", "#" * 3 + " "]
)
def test_a_long_text_takes_no_time(piece):
    with cpu_limit(2):
        split(clean(piece * (100_000 // len(piece))), 2000)
