"""What import-linter cannot say of imports; the floors themselves are its contracts in pyproject.toml."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.xdist_group("imports")  # one process parses all of them

INSIDE = ROOT / "launcher" / "mika" / "replay" / "hook" / "mika_inside"


def modules(source: Path, package: str) -> dict[str, Path]:
    paths = {}
    for path in sorted((source / package).rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return paths


@functools.cache  # the tests ask about all modules again and again, and each takes 10 ms
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def nodes(tree: ast.AST, *, for_types: bool) -> Iterator[ast.AST]:
    """All of a tree, or without what is imported for type checkers only."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if isinstance(node, ast.expr):
            continue  # no import is in one
        is_guard = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        if is_guard and not for_types:
            yield from nodes(ast.Module(body=node.orelse, type_ignores=[]), for_types=for_types)
        else:
            yield from nodes(node, for_types=for_types)


@functools.cache
def imports(path: Path, *, for_types: bool = True) -> frozenset[str]:
    """Absolute names of what a file imports, wherever it does; `from a import b` gives both `a` and `a.b`."""
    names: set[str] = set()
    for node in nodes(parsed(path), for_types=for_types):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level == 1 and path.parent == INSIDE:  # a stranger's interpreter knows it by another name
                continue
            assert node.level == 0, f"{path}: a relative import"
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def at_top(path: Path) -> frozenset[str]:
    """The packages that a file imports when it is itself imported."""
    names: set[str] = set()
    for node in parsed(path).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module or "")
    return frozenset(name.partition(".")[0] for name in names)


LAUNCHER = modules(ROOT / "launcher", "mika")
BOT = modules(ROOT, "src")


def test_the_guard_needs_only_the_standard_library():
    """It runs with `-I -S`: fast, small, and whatever the environment of the service is."""
    for module, path in LAUNCHER.items():
        if module.startswith("mika.guard"):
            foreign = {name.partition(".")[0] for name in imports(path)} - sys.stdlib_module_names
            assert foreign <= {"mika", "segments", "_posix", "_windows"}, f"{module} imports {foreign}"


def test_what_runs_inside_other_programs_needs_only_the_standard_library_until_they_import_the_sdk():
    for path in INSIDE.glob("*.py"):
        assert at_top(path) <= sys.stdlib_module_names, f"{path.name} imports {at_top(path)}"


@pytest.mark.parametrize("module", ["mika.supervisor.policy", "mika.status", "mika.reason"])
def test_the_policy_is_pure(module):
    """No clock, no randomness, no I/O: else it could not be tested for any order of inputs."""
    names = {name for name in imports(LAUNCHER[module]) if not name.startswith(("mika.", "typing", "collections.abc"))}
    assert names <= {
        "__future__",
        "__future__.annotations",
        "dataclasses",
        "dataclasses.dataclass",
        "dataclasses.field",
        "dataclasses.replace",
        "enum",
        "enum.StrEnum",
    }


@pytest.mark.parametrize("heavy", ["temporalio", "docker", "rich"])
def test_heavy_libraries_are_imported_where_they_are_used(heavy):
    """`mika status` must stay fast: no module of the launcher imports these when it is itself imported."""
    for module, path in LAUNCHER.items():
        assert heavy not in at_top(path), f"{module} imports {heavy} at its top"


def test_only_the_diagnosis_builds_requests_to_temporal():
    """One timeout and no hidden retries, held in one place. Annotations may name the types of answers."""
    asking = {
        module
        for module, path in (LAUNCHER | BOT).items()
        if any(name.startswith("temporalio.api.workflowservice") for name in imports(path, for_types=False))
    }
    assert asking == {"mika.diagnosis.temporal", "mika.diagnosis.skipping", "mika.diagnosis.returning"}


def test_only_one_module_asks_what_an_operator_may_do():
    asking = {
        module
        for module, path in (LAUNCHER | BOT).items()
        if any(name.startswith("temporalio.api.operatorservice") for name in imports(path, for_types=False))
    }
    assert asking == {"mika.declared.kinds"}


OF_THE_BOT = {"fastapi", "httpx", "openai", "pydantic", "pydantic_settings", "pymongo", "structlog", "uvicorn"}


@pytest.mark.parametrize("module", [module for module in LAUNCHER if ".hook." not in module])
def test_nothing_is_imported_that_only_the_bot_has(module):
    """Not even inside a function: in somebody else's environment it is not there. The hook asks if that has it."""
    assert not {name.partition(".")[0] for name in imports(LAUNCHER[module])} & OF_THE_BOT


def test_each_test_module_has_a_name_of_its_own():
    """`pytest` alone imports all of them by their names. CI runs them folder by folder, where no two would clash."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py") if "projects" not in path.parts]
    assert sorted({name for name in names if names.count(name) > 1}) == []
