"""What `mika init` proposes for projects that have never heard of mika; see `proposals/`.

After a change that is meant: `python -m tests.adopt.test_proposals` writes them again.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from mika.cli.main import run

PROJECTS = Path(__file__).parent / "projects"
PROPOSALS = Path(__file__).parent / "proposals"
FOREIGN = ("API_", "MIKA_", "TEMPORAL_", "VIRTUAL_ENV", "POETRY_")
NAMES = sorted(folder.name for folder in PROJECTS.iterdir())


def proposed(name: str, parent: Path) -> str:
    """Both files, and what people see; with `PROJECT` for the path of the project."""
    folder = parent / name
    shutil.copytree(PROJECTS / name, folder)
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = run(["-C", str(folder), "init", "--dry-run"])
    text = f"exit {code}\n{err.getvalue()}{out.getvalue()}".replace(str(folder.resolve()), "PROJECT")
    return text.replace(r".venv\Scripts\python", ".venv/bin/python")


@pytest.mark.parametrize("name", NAMES)
def test_what_init_proposes(name, tmp_path, monkeypatch):
    for variable in [variable for variable in os.environ if variable.startswith(FOREIGN)]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("NO_COLOR", "1")
    assert proposed(name, tmp_path) == (PROPOSALS / f"{name}.txt").read_text(encoding="utf-8")
    assert paths(tmp_path / name) == paths(PROJECTS / name), "nothing is written"


def paths(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if "__pycache__" not in path.parts}


def test_there_is_a_project_for_each_proposal():
    assert sorted(proposal.stem for proposal in PROPOSALS.iterdir()) == NAMES


if __name__ == "__main__":
    os.environ["NO_COLOR"] = "1"
    os.environ.pop("VIRTUAL_ENV", None)
    for project in NAMES:
        with tempfile.TemporaryDirectory() as temporary:
            (PROPOSALS / f"{project}.txt").write_text(proposed(project, Path(temporary)), encoding="utf-8")
