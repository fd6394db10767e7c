"""Which files a program imports, from its sources alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mika.detect.imports import ImportGraph

Make = Callable[[dict[str, str]], Path]
PYTHON = "/usr/bin/python3"


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write


def reach(project: Path, *words: str, cwd: str = ".", reported: tuple[str, ...] = (), **env: str) -> set[str] | None:
    """The files that exist, relative to the project."""
    found = ImportGraph(project).reach(words, project / cwd, env, [project / file for file in reported])
    if found is None:
        return None
    return {file.relative_to(project).as_posix() for file in found if file.is_file() and file.is_relative_to(project)}


APP = {
    "src/__init__.py": "",
    "src/worker.py": "import os\nfrom src.flows import order\nfrom . import tools\n",
    "src/api.py": "from fastapi import FastAPI\nfrom src.tools import one\n",
    "src/tools.py": "def one():\n    from src import late\n",
    "src/late.py": "",
    "src/flows/__init__.py": "",
    "src/flows/order.py": "from ..tools import one\nwith passed():\n    import src.flows.prices as prices\n",
    "src/flows/prices.py": "",
    "tests/test_it.py": "import src.worker\n",
    "os.txt": "",
}
WORKER = {
    "src/__init__.py",
    "src/worker.py",
    "src/tools.py",
    "src/late.py",
    "src/flows/__init__.py",
    "src/flows/order.py",
    "src/flows/prices.py",
}
API = {"src/__init__.py", "src/api.py", "src/tools.py", "src/late.py"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((PYTHON, "-m", "src.worker"), WORKER),
        ((PYTHON, "-u", "-X", "dev", "-m", "src.worker", "--loud"), WORKER),
        (("uv", "run", "-m", "src.worker"), WORKER),
        (("uv", "run", "python", "-m", "src.worker"), WORKER),
        ((PYTHON, "-m", "uvicorn", "src.api:app", "--port", "1"), API),
        (("/x/bin/uvicorn", "src.api:app"), API),
        ((PYTHON, "-c", "import src.worker"), None),
        ((PYTHON, "-I", "-m", "src.worker"), None),
        ((PYTHON, "-m", "coverage", "run", "-m", "src.worker"), None),
        (("/x/bin/uvicorn", "--app-dir", "src", "api:app"), None),
        (("/bin/sh", "-c", "python -m src.worker"), None),
        (("npm", "run", "worker"), None),
    ],
)
def test_a_command_and_what_it_imports(make, words, expected):
    assert reach(make(APP), *words) == expected


def test_a_script_has_its_own_folder_and_pythonpath(make):
    project = make({"w/main.py": "import near, far, json\n", "w/near.py": "", "lib/far.py": "", "near.py": ""})
    assert reach(project, PYTHON, "w/main.py", PYTHONPATH="lib") == {"w/main.py", "w/near.py", "lib/far.py"}
    assert reach(project, PYTHON, "main.py", cwd="w") == {"w/main.py", "w/near.py"}


def test_an_installed_program_is_its_module(make):
    project = make({"src/shop/__init__.py": "", "src/shop/cli.py": "import shop.flows\n", "src/shop/flows.py": ""})
    scripts = project / ".venv/bin"
    site = project / f".venv/lib/python3.{sys.version_info.minor}/site-packages"
    for folder in (scripts, site):
        folder.mkdir(parents=True)
    (project / ".venv/pyvenv.cfg").write_text("")
    (site / "shop.pth").write_text(str(project / "src"))
    program = scripts / "shop"
    program.write_text(f"#!{scripts}/python\nimport sys\nfrom shop.cli import main\nsys.exit(main())\n")
    program.chmod(0o755)
    expected = {"src/shop/__init__.py", "src/shop/cli.py", "src/shop/flows.py"}
    if sys.platform != "win32":  # where it is a program with a zip at its end
        assert reach(project, str(program)) == expected
    assert reach(project, PYTHON, "-m", "shop.cli", VIRTUAL_ENV=str(project / ".venv")) == expected
    (site / "__editable___shop_finder.pth").write_text("import __editable___shop_finder\n")
    (site / "__editable__.shop.pth").write_text("import __editable___shop_finder\n")
    assert reach(project, PYTHON, "-m", "shop.cli", VIRTUAL_ENV=str(project / ".venv")) is None


@pytest.mark.parametrize(
    "line",
    [
        "importlib.import_module(name)",
        "from importlib import import_module as load",
        "__import__(name)",
        "exec(code)",
        "sys.path.insert(0, 'x')",
        "pkgutil.iter_modules(x)",
        "import django",
        "def broken(:",
    ],
)
def test_what_no_source_tells_is_not_known(make, line):
    assert reach(make({"main.py": f"import other\n{line}\n", "other.py": ""}), PYTHON, "main.py") is None


@pytest.mark.parametrize(
    "line",
    [
        "importlib.import_module('plug.one')",
        "run('plug.one')",
        "run('plug.one:app')",
        "run('plug.one.Class')",
        "subprocess.run([sys.executable, 'plug/one.py'])",
        "from plug import *",
        "from plug import one",
        "from plug.one import *",
        "from plug.one import name",
        "table.eval(x); import plug.one",
    ],
)
def test_what_is_named_counts(make, line):
    project = make({"main.py": f"{line}\n", "plug/one.py": "import two\n", "two.py": "", "three.py": ""})
    assert reach(project, PYTHON, "main.py") == {"main.py", "plug/one.py", "two.py"}


def test_one_word_is_no_module(make):
    """The queue `orders` does not make the API depend on orders.py."""
    assert reach(make({"api.py": "QUEUE = 'orders'\n", "orders.py": ""}), PYTHON, "api.py") == {"api.py"}


def test_what_is_missing_is_wanted(make):
    project = make({"main.py": "from pkg import later\nimport gone\n", "pkg/__init__.py": ""})
    found = ImportGraph(project).reach([PYTHON, "main.py"], project, {})
    assert found is not None
    assert {project / "gone.py", project / "gone/__init__.py", project / "pkg/later.py"} <= found


def test_what_its_own_program_reports_is_believed(make):
    files = {"main.py": "import django\n", "apps/orders.py": "def f():\n    import lazy\n", "lazy.py": "", "no.py": ""}
    project = make(files)
    reported = ("main.py", "apps/orders.py")
    assert reach(project, PYTHON, "main.py", reported=reported) == {"main.py", "apps/orders.py", "lazy.py"}
    assert reach(project, "bash", "start.sh", reported=reported) == {"main.py", "apps/orders.py", "lazy.py"}
    project = make({"lazy.py": "import importlib\nimportlib.import_module(x)\n"})
    assert reach(project, PYTHON, "main.py", reported=reported) is None


def test_a_file_that_changes_is_read_again(make):
    project = make({"main.py": "import one\n", "one.py": "", "two.py": ""})
    graph = ImportGraph(project)
    assert project / "two.py" not in (graph.reach([PYTHON, "main.py"], project, {}) or ())
    make({"main.py": "import two, one\n"})
    assert project / "two.py" in (graph.reach([PYTHON, "main.py"], project, {}) or ())
