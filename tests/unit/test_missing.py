"""The command that makes what a program did not find."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from mika.quoting import quoted
from mika.supervisor.diagnose import Missing
from mika.supervisor.missing import fix_for_missing, fix_for_script

from tests.kit.sources import make

PACKAGE = json.dumps({"dependencies": {"zod": "3"}, "scripts": {"build": "tsc"}})
SHARED = json.dumps({"name": "@acme/shared", "scripts": {"build": "tsc"}})
ROOT = json.dumps({"packageManager": "pnpm@10.1.0", "scripts": {"build": "turbo build"}})
MONOREPO = {"package.json": ROOT, "apps/worker/package.json": PACKAGE, "packages/shared/package.json": SHARED}
PROGRAM, BUILT, ZOD = Missing("program"), Missing("built"), Missing("node", "zod")


@pytest.mark.parametrize(
    ("sources", "folder", "missing", "fix"),
    [
        ({"package.json": PACKAGE}, "", PROGRAM, "`npm install` installs what the project needs"),
        ({"package.json": PACKAGE, "yarn.lock": ""}, "", ZOD, "`yarn install` installs what the project needs"),
        ({"web/package.json": PACKAGE}, "web/src", PROGRAM, "`npm install` in web installs what the project needs"),
        (MONOREPO, "apps/worker", PROGRAM, "`pnpm install` installs what the project needs"),
        ({**MONOREPO, "node_modules/a": ""}, "apps/worker", ZOD, "`pnpm install` installs what the project needs"),
        ({**MONOREPO, "node_modules/a": ""}, "apps/worker", PROGRAM, ""),
        ({**MONOREPO, "node_modules/a": ""}, "apps/worker", Missing("node", "left-pad"), ""),
        (MONOREPO, "apps/worker", BUILT, "a build usually makes this file: run `pnpm run build`"),
        (
            {"web/package.json": PACKAGE},
            "web",
            BUILT,
            "a build usually makes this file: run `npm run build` in web",
        ),
        ({"package.json": "{}"}, "", BUILT, ""),
        ({"main.go": ""}, "", PROGRAM, ""),
    ],
)
def test_what_node_did_not_find(tmp_path, sources, folder, missing, fix):
    make(tmp_path, sources)
    assert fix_for_missing(tmp_path, tmp_path / folder, missing) == fix


def test_another_folder_than_the_project_is_not_looked_at(tmp_path):
    make(tmp_path, {"package.json": PACKAGE})
    assert fix_for_missing(tmp_path / "project", tmp_path, PROGRAM) == ""


SCRIPT = '[build-system]\n[project]\ndependencies = ["python-dotenv"]\n[project.scripts]\ngreeter = "greeter:main"\n'
BIN = "Scripts" if os.name == "nt" else "bin"
PIP = quoted(Path(".venv", BIN, "python"))


def in_environment(folder: Path, sources: dict[str, str], made_by: str = "") -> Path:
    """A project with an environment that has nothing."""
    files = {f".venv/{BIN}/{python}": "" for python in ("python", "python.exe")}
    return make(folder, {**sources, ".venv/pyvenv.cfg": f"{made_by}version = 3.12\n", **files})


@pytest.mark.parametrize(
    ("sources", "package", "command"),
    [
        ({"requirements.txt": "PyYAML>=6\n"}, "yaml", f"{PIP} -m pip install -r requirements.txt"),
        ({"requirements.txt": "google_genai\n"}, "google", f"{PIP} -m pip install -r requirements.txt"),
        ({"requirements.txt": "fastapi\n"}, "api", ""),
        ({"pyproject.toml": SCRIPT, "uv.lock": ""}, "dotenv", "uv sync"),
        ({"pyproject.toml": SCRIPT, "poetry.lock": ""}, "dotenv", "poetry install"),
        ({"pyproject.toml": SCRIPT}, "requests", ""),
        ({"requirements.txt": "yaml\n", "yaml.py": ""}, "yaml", ""),
    ],
)
def test_a_declared_package_that_the_environment_lacks(tmp_path, sources, package, command):
    fix = fix_for_missing(in_environment(tmp_path, sources), tmp_path, Missing("python", package))
    assert fix == (f"`{command}` installs what the project needs" if command else "")


@pytest.mark.parametrize(
    ("sources", "command"),
    [
        ({"requirements.txt": ""}, f"`{PIP} -m pip install -e .`"),
        ({"uv.lock": ""}, "`uv sync`"),
        ({"poetry.lock": ""}, "`poetry install`"),
    ],
)
def test_a_program_of_the_project_that_is_not_installed(tmp_path, sources, command):
    in_environment(tmp_path, {"pyproject.toml": SCRIPT, **sources})
    assert fix_for_script(tmp_path, tmp_path, "greeter") == command
    assert fix_for_script(tmp_path, tmp_path, "another") == ""


def test_an_environment_that_uv_has_made_has_no_pip(tmp_path):
    in_environment(tmp_path, {"requirements.txt": "yaml"}, "uv = 0.9\n")
    fix = fix_for_missing(tmp_path, tmp_path, Missing("python", "yaml"))
    assert fix == "`uv pip install -r requirements.txt` installs what the project needs"


@pytest.mark.parametrize(("top", "command"), [("[project]\nname = 'x'\n", "uv sync --all-packages"), ("", "uv sync")])
def test_a_member_of_a_workspace_of_uv(tmp_path, top, command):
    workspace = f'{top}[tool.uv.workspace]\nmembers = ["apps/*"]\n'
    make(tmp_path, {"pyproject.toml": workspace, "apps/a/pyproject.toml": SCRIPT})
    assert fix_for_script(tmp_path, tmp_path / "apps/a", "greeter") == f"`{command}`"
