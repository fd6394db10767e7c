"""The language in which mika speaks."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from mika.cli import language, main
from mika.cli.screen.width import width


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIKA_LANG", "zh_CN")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh_CN"),
        ({"LANG": "zh_TW.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "zh_CN.GBK"}, "zh_CN"),
        ({"LANG": "zh_CN.UTF-8", "MIKA_LANG": "en"}, "en"),
        ({"MIKA_LANG": "zh"}, "zh_CN"),
        ({"MIKA_LANG": "zh-Hans"}, "zh_CN"),
        ({"MIKA_LANG": "en_GB"}, "en"),
    ],
)
def test_the_language_is_that_of_the_user(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    for name in ("MIKA_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert language.language() == expected


def test_a_language_that_mika_does_not_speak(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MIKA_LANG", "fr")
    assert main.run(["status"]) == 2
    assert capfd.readouterr().err == ("mika: MIKA_LANG: mika does not speak 'fr'\n      set it to `en` or `zh_CN`\n")


@pytest.mark.usefixtures("chinese")
def test_help_fits_the_screen(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for verb in (["--help"], ["up", "--help"], ["logs", "--help"], ["workflows", "retry", "--help"]):
        assert main.run(verb) == 0
        lines = capfd.readouterr().out.splitlines()
        assert lines[0].startswith("用法：")
        assert max(map(width, lines)) <= 80
        assert not any(re.search(r"[a-z]{3,} [a-z]{3,} [a-z]{3,}", line) for line in lines[1:]), "English is left"


@pytest.mark.usefixtures("chinese")
def test_json_is_english(tmp_path: Any, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Procfile").write_text("web: true\n")
    assert main.run(["-C", str(tmp_path), "status", "--json"]) == 3
    error = json.loads(capfd.readouterr().out)["error"]
    assert error["message"].startswith("no stack is running in")
    assert main.run(["-C", str(tmp_path), "status"]) == 3
    assert not capfd.readouterr().err.startswith("mika: no stack")
