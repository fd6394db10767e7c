"""What mika asks on a terminal, and what a shell shows beside a completed word, in the user's language."""

import io

import pytest
from mika.cli import language, main
from mika.cli.context import confirm
from mika.cli.found import _answer
from mika.detect.findings import Question
from mika.errors import InterruptedByUserError, UsageError
from mika.wording import _

_CHINESE = {
    "Go on?": "继续？",
    "Error: invalid input": "请回答 y 或 n",
    "Error: {answer!r} is not one of {choices}.": "{answer!r} 不在可选项之中：{choices}",
    "which app?": "哪个应用？",
    "Stop processes, then services.": "先停进程，再停服务",
    "Also delete the data (asks first).": "也删除数据（先询问）",
    "Start workflows again with the same input, under new ids.\n\nWith --query and --cause each is started again only"
    " once, so that an interrupted command can be repeated.": "用同样的输入再次启动。\n\n每个只会再启动一次。",
}


@pytest.fixture(autouse=True)
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "translation", lambda: lambda template: _CHINESE.get(template, template))


def _says(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_a_question_takes_yes_or_no_only(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    _says(monkeypatch, "perhaps\nY\n")
    confirm(_("Go on?"))
    told = capfd.readouterr()
    assert told.out == ""
    assert told.err == "继续？ [y/N]: 请回答 y 或 n\n继续？ [y/N]: "


@pytest.mark.parametrize("answer", ["\n", "no\n"])
def test_nothing_is_a_no(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    _says(monkeypatch, answer)
    with pytest.raises(InterruptedByUserError):
        confirm(_("Go on?"))


def test_a_script_answers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    _says(monkeypatch, "")
    with pytest.raises(UsageError, match="nobody answered"):
        confirm(_("Go on?"))


def test_one_of_several(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    _says(monkeypatch, "c\na\n")
    assert _answer(Question("app", _("which app?"), ("a", "all"))) == "a"
    asked = "\n哪个应用？\n (a, all)> "
    assert capfd.readouterr().err == f"{asked}'c' 不在可选项之中：'a', 'all'\n{asked}"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("mika dow", "先停进程，再停服务"),
        ("mika down --vol", "也删除数据（先询问）"),
        ("mika workflows ret", "用同样的输入再次启动"),
    ],
)
def test_completion_explains(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], typed: str, expected: str
) -> None:
    monkeypatch.setenv("_MIKA_COMPLETE", "zsh_complete")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
    assert main.run([]) == 0
    assert capfd.readouterr().out.splitlines()[2] == expected
