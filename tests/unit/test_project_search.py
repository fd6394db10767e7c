"""The project folder is searched upwards, as git does; and `mika` alone, and completion, work."""

from __future__ import annotations

from pathlib import Path

import pytest
from mika.cli.found import look
from mika.cli.main import run
from mika.config.search import find_project
from mika.detect.proposal import propose
from mika.errors import UsageError

from tests.kit.config import load
from tests.kit.machine import posix_only


@pytest.mark.parametrize(
    ("name", "text"),
    [("Procfile", "web: x\n"), ("mika.toml", ""), ("pyproject.toml", "[tool.mika.process.web]\n"), (None, "")],
)
def test_the_nearest_folder_upwards_that_is_a_project(tmp_path, name, text):
    deep = tmp_path / "project" / "src" / "deep"
    deep.mkdir(parents=True)
    if name is None:
        assert find_project(deep) == deep, "none is one: here"
        return
    (tmp_path / "project" / name).write_text(text, encoding="utf-8")
    (tmp_path / "Procfile").write_text("outer: x\n", encoding="utf-8")
    assert find_project(deep) == tmp_path / "project"


def test_a_project_without_files_of_mika_is_found_while_its_stack_runs(tmp_path):
    inner = tmp_path / "src"
    inner.mkdir()
    state = tmp_path / ".mika" / "run" / "state.json"
    state.parent.mkdir(parents=True)
    assert find_project(inner) == inner
    state.write_text("{}", encoding="utf-8")
    assert find_project(inner) == tmp_path


def test_a_pyproject_of_something_else_is_not_a_project(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.mikado]\n[project]\nname = "tool.mika"\n', encoding="utf-8")
    inner = tmp_path / "inner"
    inner.mkdir()
    assert find_project(inner) == inner


def test_a_command_in_a_subfolder_is_about_the_project(tmp_path, monkeypatch, capsys):
    (tmp_path / "Procfile").write_text("web: x\n", encoding="utf-8")
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path / "src")
    assert run(["status"]) == 3
    assert f"no stack is running in {tmp_path}\n" in capsys.readouterr().err


def test_the_option_names_the_folder_itself(tmp_path, monkeypatch, capsys):
    (tmp_path / "Procfile").write_text("web: x\n", encoding="utf-8")
    (tmp_path / "src").mkdir()
    assert run(["-C", str(tmp_path / "src"), "status"]) == 3
    assert f"no stack is running in {tmp_path / 'src'}\n" in capsys.readouterr().err


@posix_only  # Windows does not let anybody delete it
def test_a_current_folder_that_was_deleted_is_one_line(tmp_path, monkeypatch, capsys):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert run(["status"]) == 2
    assert "the current folder was deleted" in capsys.readouterr().err


def test_mika_alone_is_help(capsys):
    assert run([]) == 0
    shown = capsys.readouterr()
    assert "Commands:" in shown.out
    assert shown.err == ""


@pytest.mark.parametrize(
    ("words", "expected"), [("mika st", {"status", "stop", "start"}), ("mika status --w", {"--watch"})]
)
def test_the_shell_completes(monkeypatch, capsys, words, expected):
    monkeypatch.setenv("_MIKA_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    assert run([]) == 0
    assert {line.partition(",")[2] for line in capsys.readouterr().out.splitlines()} == expected


def test_the_script_for_the_shell(monkeypatch, capsys):
    monkeypatch.setenv("_MIKA_COMPLETE", "bash_source")
    assert run([]) == 0
    assert "complete -o nosort" in capsys.readouterr().out


def test_a_file_that_notepad_has_named(tmp_path: Path) -> None:
    """Explorer shows `Procfile.txt` as Procfile."""
    for name in ("Procfile.txt", "mika.toml.txt", ".env.txt"):
        (tmp_path / name).touch()
    assert load(tmp_path).notes()[:2] == [
        "mika.toml.txt is not read: rename it to mika.toml",
        ".env.txt is not read: rename it to .env",
    ]
    proposal = propose(tmp_path, {}, (8000, 7233))
    assert "Procfile.txt is not read: rename it to Procfile" in proposal.notes
    with pytest.raises(UsageError, match=r"Procfile\.txt is not read: rename it to Procfile"):
        look(load(tmp_path), {})
    for name in ("Procfile", "mika.toml", ".env"):
        (tmp_path / name).touch()
    assert not [note for note in load(tmp_path).notes() if "not read" in note]
