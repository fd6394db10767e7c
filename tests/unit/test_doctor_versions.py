"""The Python and the packages of each process, against what the project asks for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.kit.doctor import examine


def make_venv(root: Path, python: str, key: str = "version", **packages: str) -> None:
    """An environment as a tool leaves it, with the names and versions of what is installed."""
    scripts = root / ("Scripts" if os.name == "nt" else "bin")
    scripts.mkdir(parents=True)
    (scripts / "python").touch()
    (root / "pyvenv.cfg").write_text(f"home = /usr/bin\n{key} = {python}\n", encoding="utf-8")
    for name, version in packages.items():
        info = root / "lib" / "python3.99" / "site-packages" / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ('[project]\nrequires-python = ">=3.12"\ndependencies = ["click>=8"]', []),
        ('[project]\nrequires-python = ">=3.14"', ["Python is 3.13.1 in .venv, and pyproject.toml asks for >=3.14"]),
        ('[project]\nrequires-python = "<3.13"', ["asks for <3.13"]),
        ('[project]\ndependencies = ["no-such-package-at-all"]', ["no-such-package-at-all is not installed in .venv"]),
        ('[project]\ndependencies = ["click<1"]', ["click is 8.2.1, and"]),
        ('[project]\ndependencies = ["none; python_version < \'3.12\'", "not a requirement!"]', []),
        ('[tool.poetry.dependencies]\npython = "^3.11"', []),
        ('[tool.poetry.dependencies]\npython = "~3.12"', ["asks for ~3.12"]),
        ('[tool.poetry.dependencies]\npython = ">=3.9 <3.13"', ["asks for >=3.9 <3.13"]),
        ('[tool.poetry.dependencies]\npython = "~3.11 || ~3.13"', []),
        ('[tool.poetry.dependencies]\npython = "3.13.*"', []),
        ('[tool.poetry.dependencies]\npython = "*"', []),
        ('[tool.poetry.dependencies]\npython = "what?"', []),
        ("[tool]\npoetry = 3\n[project]\ndependencies = 3", []),
    ],
)
def test_packages_against_the_project(tmp_path: Path, document: str, expected: list[str]) -> None:
    """The Python of the project counts, not that of mika."""
    (tmp_path / "pyproject.toml").write_text(document, encoding="utf-8")
    make_venv(tmp_path / ".venv", "3.13.1", click="8.2.1", temporalio="1.30.0")
    check = examine(tmp_path, MIKA_BACKEND="none")["versions"]
    if not expected:
        assert (check.status, check.finding) == ("ok", "Python 3.13.1 (.venv), temporalio 1.30.0")
    for word in expected:
        assert (check.status, word in check.finding) == ("warn", True), check


def test_packages_of_a_list_for_pip(tmp_path: Path) -> None:
    lines = "# a list\n-r more.txt\nclick>=8  # fine\nnope==1 \\\n    --hash=sha256:0\nflask ; python_version < '3'\n"
    (tmp_path / "requirements.txt").write_text(lines, encoding="utf-8")
    make_venv(tmp_path / ".venv", "3.13.1", click="8.2.1")
    check = examine(tmp_path, MIKA_BACKEND="none")["versions"]
    assert check.finding == "the package nope is not installed in .venv"
    assert "-m pip install -r requirements.txt" in check.fix
    (tmp_path / "requirements.txt").write_text("click < 8\n", encoding="utf-8")
    finding = examine(tmp_path, MIKA_BACKEND="none")["versions"].finding
    assert finding == "click is 8.2.1, and requirements.txt asks for <8"


def test_packages_that_are_seen_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["flask"]\n', encoding="utf-8")
    make_venv(tmp_path / ".venv", "3.13.1")
    make_venv(tmp_path / "other", "3.13.1", flask="3.0")
    assert "flask is not installed" in examine(tmp_path, MIKA_BACKEND="none")["versions"].finding
    own = tmp_path / ".venv" / "lib" / "python3.13" / "site-packages"
    own.mkdir(parents=True)
    there = tmp_path / "other" / "lib" / "python3.99" / "site-packages"
    (own / "more.pth").write_text(f"import sys\n{there}\n", encoding="utf-8")
    assert examine(tmp_path, MIKA_BACKEND="none")["versions"].status == "ok"
    (own / "more.pth").unlink()
    with (tmp_path / ".venv" / "pyvenv.cfg").open("a", encoding="utf-8") as file:
        file.write("include-system-site-packages = true\n")
    assert examine(tmp_path, MIKA_BACKEND="none")["versions"].status == "ok"


def test_each_process_has_the_python_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("a: python a.py\nb: python b.py\n", encoding="utf-8")
    for name, python in (("a", "3.12.1"), ("b", "3.10.9.final.0")):
        make_venv(tmp_path / name / ".venv", python, "version_info")
        (tmp_path / name / "pyproject.toml").write_text('[project]\nrequires-python = ">=3.12"\n', encoding="utf-8")
    (tmp_path / "b" / "uv.lock").touch()
    toml = '[process.a]\ncwd = "a"\n[process.b]\ncwd = "b"\n'
    (tmp_path / "mika.toml").write_text(toml, encoding="utf-8")
    check = examine(tmp_path, MIKA_BACKEND="none")["versions"]
    assert check.finding == "Python is 3.10.9 in .venv, and pyproject.toml asks for >=3.12"
    assert check.fix == "`uv sync` in b"


@pytest.mark.parametrize("is_python", [True, False])
def test_a_project_without_an_environment(tmp_path: Path, is_python: bool) -> None:
    """In one in Go or Node there is none to look for."""
    (tmp_path / ("main.py" if is_python else "main.go")).touch()
    check = examine(tmp_path, MIKA_BACKEND="none")["versions"]
    expected = "no Python environment of the project was found" if is_python else "nothing here is in Python"
    assert (check.status, check.finding) == ("ok", expected)
