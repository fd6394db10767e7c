"""The commands in hints, as the user has to type them."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from mika.cli import main
from mika.cli.spelling import _temporal, called_as, pasteable, use_folder
from mika.quoting import quoted
from mika.text import did_you_mean, plain

QUOTED = '"--project=a b/mika"' if sys.platform == "win32" else "'--project=a b/mika'"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `python` on the PATH, and no `mika` there."""
    folder = tmp_path / "bin dir"
    folder.mkdir()
    for name in ("python", "python.exe"):
        (folder / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(folder))
    found = folder / ("python.exe" if sys.platform == "win32" else "python")
    monkeypatch.setattr(sys, "executable", str(found))
    return found


def test_a_module_by_its_python(program: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["/x/mika/__main__.py"])
    assert called_as() == "python -m mika"
    called_as.cache_clear()
    monkeypatch.setenv("PATH", "")
    assert called_as().endswith("python' -m mika" if sys.platform != "win32" else 'python.exe" -m mika')
    assert shlex.split(called_as())[0] == str(program) or sys.platform == "win32"


@pytest.mark.skipif(sys.platform == "win32", reason="no name has such characters there")
@pytest.mark.usefixtures("program")
def test_a_folder_whose_name_no_terminal_may_be_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["/x/mika/__main__.py"])
    folder = tmp_path / "it's \\a\x1b]0;t\x07\n项目"
    folder.mkdir()
    use_folder(folder)
    try:
        assert called_as().isprintable()
        command = f"printf %s {called_as().partition(' -C ')[2]}"
        assert subprocess.run(["/bin/bash", "-c", command], capture_output=True, check=True).stdout == bytes(folder)
    finally:
        use_folder(None)


@pytest.mark.usefixtures("program")
def test_a_script_by_its_path(monkeypatch: pytest.MonkeyPatch):
    for given in (".venv/bin/mika", "./mika", "/home/me/m"):
        monkeypatch.setattr(sys, "argv", [given])
        called_as.cache_clear()
        assert called_as() == given
    monkeypatch.setattr(sys, "argv", ["mika"])
    called_as.cache_clear()
    assert called_as() == "mika"


def test_the_script_that_is_on_the_path_by_its_name(program: Path, monkeypatch: pytest.MonkeyPatch):
    script = program.with_name("mika.exe" if sys.platform == "win32" else "mika")
    script.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(script)])
    assert called_as() == "mika"
    called_as.cache_clear()
    monkeypatch.setattr(sys, "argv", ["/another/mika"])
    assert called_as() == "/another/mika"


@pytest.mark.parametrize(
    ("words", "spelt"),
    [
        (["uv", "run", "mika", "status", "-v"], "uv run mika"),
        (["/x/uv", "run", "--project", "/my/mika", "mika", "status", "-v"], "uv run --project /my/mika mika"),
        (["uv", "run", "--project=a b/mika", "-m", "mika", "status", "-v"], f"uv run {QUOTED} -m mika"),
        (["uv", "run", "bash", "-c", "mika status -v"], "mika"),
    ],
)
def test_with_uv(words: list[str], spelt: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
    monkeypatch.setattr(sys, "argv", ["mika", "status", "-v"])
    process = mock.Mock(**{"cmdline.return_value": words})
    with mock.patch("psutil.Process") as this:
        this.return_value.parents.return_value = [process]
        assert called_as() == spelt


@pytest.mark.skipif(sys.platform != "win32", reason="only there a quoted path begins with a double quote")
@pytest.mark.usefixtures("program")
@pytest.mark.parametrize(
    ("parents", "before"),
    [
        (["python.exe", "powershell.exe", "explorer.exe"], "& "),
        (["pwsh.exe", "cmd.exe"], "& "),
        (["cmd.exe", "powershell.exe"], ""),
        (["explorer.exe"], ""),
    ],
)
def test_a_path_with_a_space_is_called_in_powershell(
    parents: list[str], before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = r"C:\Users\Jane Doe\bot\.venv\Scripts\mika.exe"
    monkeypatch.setattr(sys, "argv", [path])
    with mock.patch("psutil.Process") as this:
        # Not `Mock(name=...)`: that is the name of the mock.
        this.return_value.parents.return_value = [mock.Mock(**{"name.return_value": name}) for name in parents]
        assert called_as() == f'{before}"{path}"'


def test_another_project_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Pasted without -C, the command would be about the project of the current folder."""
    here, other = tmp_path / "here", tmp_path / "the other"
    for folder in (here, other, other / "src"):
        folder.mkdir()
    (other / "Procfile").write_text("web: python web.py\n", encoding="utf-8")

    def hint(*args: str) -> str:
        assert main.run([*args, "status"]) == 3
        return plain(capsys.readouterr().err).split("start it: ")[1].strip()

    monkeypatch.chdir(here)
    option = shlex.quote(str(other)) if sys.platform != "win32" else f'"{other}"'
    assert hint("-C", str(other)) == f"`mika -C {option} up`"
    monkeypatch.chdir(other / "src")
    assert hint() == "`mika up`"
    assert hint("-C", "..") == "`mika up`"


def test_a_folder_that_a_hint_names_stays(tmp_path: Path):
    use_folder(tmp_path)
    assert pasteable("`mika -C /other down` or `mika up`").startswith("`mika -C /other down` or `mika -C ")


@pytest.mark.parametrize("place", ["nowhere", "on PATH", "uv run", "another one"])
def test_the_program_of_temporal_that_mika_brings_along(program: Path, monkeypatch: pytest.MonkeyPatch, place: str):
    ours = program.with_name("temporal.exe" if sys.platform == "win32" else "temporal")
    ours.touch(mode=0o755)
    if place == "uv run":
        monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
    if place in ("nowhere", "another one"):
        other = program.parent.parent / "other"
        other.mkdir()
        monkeypatch.setenv("PATH", str(other))
        if place == "another one":
            (other / ours.name).touch(mode=0o755)
    _temporal.cache_clear()
    try:
        command = pasteable("run `temporal workflow list`")
    finally:
        _temporal.cache_clear()
    typed = "temporal" if place in ("on PATH", "another one") else quoted(ours)
    assert command.removeprefix("run `").removeprefix("& ") == f"{typed} workflow list`"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Order", "OrderWorkflow"),
        ("order", "OrderWorkflow"),
        ("Remindr", "Reminder"),
        ("OrderWorkflwo", "OrderWorkflow"),
        ("zzz", None),
        ("", None),
    ],
)
def test_what_begins_with_the_name_is_meant_before_what_only_looks_alike(name: str, meant: str | None):
    assert did_you_mean(name, ["OrderWorkflow", "Reminder"]) == (f"; did you mean '{meant}'?" if meant else "")
