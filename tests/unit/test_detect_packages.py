"""What a process imports and its Python does not have, from the files alone."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from mika.detect.environments import how_to_add, how_to_install
from mika.detect.packages import Missing, find_missing
from mika.quoting import quoted

from tests.kit.sources import make

BIN, SITE = ("Scripts", "Lib/site-packages") if os.name == "nt" else ("bin", "lib/python3.12/site-packages")


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """An environment with `web` (a package), `jobs` (a module) and `fast` (an extension)."""
    folder = tmp_path / "venv"
    make(folder, {f"{SITE}/web/__init__.py": "", f"{SITE}/jobs.py": "", f"{SITE}/fast.cpython-312.so": ""})
    make(folder, {"pyvenv.cfg": "home = /usr/bin\n", f"{BIN}/python": "", f"{BIN}/uvicorn": ""})
    return folder


def missing(venv: Path, command: str, sources: dict[str, str], **env: str) -> str | None:
    project = make(venv.parent / "project", sources)
    program, *words = command.split()
    found = find_missing([str(venv / BIN / program), *words], project, env)
    assert found is None or found == Missing(found.module, venv)
    return found.module if found is not None else None


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import web, jobs, fast\nfrom web.inner import x\n", None),
        ("import temporalio.worker\n", "temporalio"),
        ("import os, temporalio as t  # the SDK\n", "temporalio"),
        ("from temporalio import workflow\n", "temporalio"),
        ("import os, asyncio, annotationlib\nfrom __future__ import annotations\n", None),
        ("import local\nfrom folder.part import x\nfrom .near import y\n", None),
        ("import through\n", "pymongo"),
        ("try:\n    import temporalio\nexcept ImportError: ...\n", None),
        ("def later():\n    import temporalio\n", None),
        ('"""Words\nfrom nowhere else\n"""\n', None),
        ("import temporalio\nthis is no Python\n", None),
        ("", None),
    ],
)
def test_a_script(venv, source, expected):
    others = {"local.py": "import web", "folder/part.py": "", "through.py": "import pymongo", "near.py": ""}
    assert missing(venv, "python main.py", {"main.py": source, **others}) == expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python -m app.worker", "temporalio"),
        ("python -m app", "redis"),
        ("python -u -m app.worker", "temporalio"),
        ("python -m web", None),
        ("python -m celery -A app", "celery"),
        ("python -m uvicorn app.api:app --port 8000", "uvicorn"),
        ("python -m web app.api:app", "fastapi"),
        ("uvicorn app.api:app", "fastapi"),
        ("python app/worker.py", "temporalio"),
        ("python nothing.py", None),
        ("python -c 'import temporalio'", None),
        ("python", None),
    ],
)
def test_a_command(venv, command, expected):
    sources = {
        "app/__init__.py": "",
        "app/__main__.py": "import redis",
        "app/api.py": "import fastapi",
        "app/worker.py": "import temporalio",
    }
    assert missing(venv, command, sources) == expected


def test_folders_that_are_added_to_the_path(venv):
    sources = {"main.py": "import mine, installed", "lib/mine.py": ""}
    make(venv.parent / "elsewhere", {"installed.py": ""})
    assert missing(venv, "python main.py", sources) == "mine"
    assert missing(venv, "python main.py", {}, PYTHONPATH="lib") == "installed"
    make(venv, {f"{SITE}/editable.pth": f"{venv.parent / 'elsewhere'}\n"})
    assert missing(venv, "python main.py", {}, PYTHONPATH="lib") is None


@pytest.mark.parametrize(
    "files",
    [
        {"pyvenv.cfg": "include-system-site-packages = true\n"},
        {f"{SITE}/__editable___x_finder.pth": "import __editable___x_finder; __editable___x_finder.install()\n"},
    ],
)
def test_what_cannot_be_known_is_not_said(venv, files):
    make(venv, files)
    assert missing(venv, "python main.py", {"main.py": "import temporalio"}) is None


def test_a_program_that_is_no_python(venv):
    (venv / "pyvenv.cfg").unlink()
    assert missing(venv, "uvicorn app:app", {"app.py": "import temporalio"}) is None


def test_this_python_has_what_these_tests_import():
    assert find_missing([sys.executable, __file__], Path.cwd(), {"PYTHONPATH": str(Path(__file__).parents[2])}) is None


@pytest.mark.parametrize(
    ("files", "python", "command"),
    [
        ({"uv.lock": ""}, f".venv/{BIN}/python", "`uv add --dev debugpy`"),
        ({"api/uv.lock": ""}, f"api/.venv/{BIN}/python", "`uv add --dev debugpy` in api"),
        ({"uv.lock": ""}, f"../elsewhere/{BIN}/python", "`{python} -m pip install debugpy`"),
        ({"poetry.lock": ""}, f"../cache/shop-py3.12/{BIN}/python", "`poetry add --group dev debugpy`"),
        ({"requirements.txt": ""}, f"venv/{BIN}/python", "`{python} -m pip install debugpy`"),
    ],
)
def test_how_to_add_a_package_where_a_program_runs(tmp_path, files, python, command):
    project = make(tmp_path / "project", files)
    program = Path(os.path.normpath(project / python))
    assert how_to_add(project, "debugpy", program) == command.format(python=program)


def test_a_command_with_a_path_that_has_spaces(tmp_path):
    """The command must work when it is pasted: in C:\\Users\\Max Muster, too."""
    project = make(tmp_path / "my project", {"requirements.txt": ""})
    program = project / "venv" / BIN / "python"
    assert (
        how_to_add(project, "debugpy", program) == f"`{quoted(Path('venv') / BIN / 'python')} -m pip install debugpy`"
    )
    elsewhere = tmp_path / "my other" / "python"
    assert how_to_install(project, project, elsewhere) == f"`{quoted(elsewhere)} -m pip install -r requirements.txt`"


def test_a_program_of_an_environment_is_not_its_pip(tmp_path):
    project = make(tmp_path, {"requirements.txt": ""})
    python = quoted(Path("venv") / BIN / "python")
    command = how_to_install(project, project, project / "venv" / BIN / "uvicorn")
    assert command == f"`{python} -m pip install -r requirements.txt`"
