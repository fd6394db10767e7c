"""The chat of `mika send`: Ctrl-C gives up a line or a wait, however often it comes, and never the chat."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mika.cli import chat


def test_ctrl_c_that_comes_twice_does_not_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed: Iterator[object] = iter(["slow", KeyboardInterrupt(), "quick", EOFError()])
    interrupts = iter([True, True])
    answered: list[str] = []

    def type_a_line(_prompt: str) -> str:
        line = next(typed)
        if isinstance(line, BaseException):
            raise line
        return str(line)

    def say(_text: str, *, err: bool) -> None:
        assert err
        if next(interrupts, False):
            raise KeyboardInterrupt  # the second one, while the first one is dealt with

    def answer(text: str) -> None:
        if text == "slow":
            raise KeyboardInterrupt
        answered.append(text)

    monkeypatch.setattr("builtins.input", type_a_line)
    monkeypatch.setattr(chat, "say", say)
    chat.chat(answer, tmp_path / "history")
    assert answered == ["quick"]
