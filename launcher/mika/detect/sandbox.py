"""What the modules of workflows import inside the sandbox of Temporal's Python SDK: again for each workflow.

From the syntax alone. Where the project changes what passes through the sandbox, nothing is said.
"""

from __future__ import annotations

import ast
import posixpath
import re
import sys
from collections.abc import Iterator

from mika.detect.fields import dotted, literal
from mika.detect.files import ancestors
from mika.detect.modules import LARGEST_SOURCE
from mika.detect.sources import Sources
from mika.frozen import frozen

_CHANGED = re.compile(rb"UnsandboxedWorkflowRunner|sandboxed\s*=\s*False|with_passthrough_|SandboxRestrictions")
# `SandboxRestrictions.passthrough_modules_default`, without the standard library.
_PASSED = {
    *("", "annotated_types", "google", "grpc", "importlib_metadata", "nexusrpc", "pkg_resources", "pydantic"),
    *("pydantic_core", "temporalio", "typing_extensions"),
    *sys.stdlib_module_names,
}
_MOST_MODULES = 200


@frozen
class SandboxImport:
    """The file at `path` imports `package`, which is not of the project."""

    path: str
    package: str


def imports_in_sandbox(sources: Sources, workflow_type: str) -> list[SandboxImport]:
    """Those of the module that has this workflow, and of the project's modules that it imports; the nearest first."""
    files = sources.files
    found: list[SandboxImport] = []
    waiting: list[str] = []
    for path in files.python:
        source = files.read(path, LARGEST_SOURCE)
        if _CHANGED.search(source):
            return []
        if b"workflow" in source and workflow_type in _workflows(_tree(source)):
            waiting.append(path)
    seen = set(waiting)
    while waiting and len(seen) < _MOST_MODULES:
        path = waiting.pop(0)
        for name in _imported(_tree(files.read(path, LARGEST_SOURCE)).body):
            local = sources.find(name, path)
            package = name.partition(".")[0]
            if local is None:
                is_own = any(files.has_modules(posixpath.join(folder, package)) for folder in ancestors(path))
                found += [] if is_own or package in _PASSED else [SandboxImport(path, package)]
            elif local.path not in seen:
                seen.add(local.path)
                waiting.append(local.path)
    return list(dict.fromkeys(found))


def _tree(source: bytes) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


def _workflows(tree: ast.Module) -> set[str]:
    """The types of the workflows that a module defines."""
    names = set()
    for node in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        for decorator in node.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            if dotted(call.func if call else decorator) in ("workflow.defn", "defn"):
                given = (literal(k.value) for k in (call.keywords if call else ()) if k.arg == "name")
                names.add(next(given, None) or node.name)
    return names


def _imported(body: list[ast.stmt]) -> Iterator[str]:
    """The names (with dots before relative ones) that are imported when the module is, and do not pass through."""
    for node in body:
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                module = "." * node.level + (node.module or "")
                yield module
                # Each name may be a module of the package.
                yield from (f"{module}{'.' if node.module else ''}{alias.name}" for alias in node.names)
            case ast.With() if not any("passed_through" in ast.unparse(item) for item in node.items):
                yield from _imported(node.body)
            case ast.If() if not dotted(node.test).endswith("TYPE_CHECKING"):
                yield from _imported([*node.body, *node.orelse])
            case ast.Try():
                yield from _imported([*node.body, *node.orelse, *node.finalbody])
