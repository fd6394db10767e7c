"""What a function or a loop gets, where a value is its parameter or its variable: perhaps several."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mika.detect.config_files import NOT_PLAIN
from mika.detect.fields import dotted
from mika.detect.modules import Module
from mika.detect.sources import Sources, Value

_DEEPEST = 4


def values(
    sources: Sources, node: ast.expr | None, module: Module, program: Module | None, depth: int = 0
) -> list[Value]:
    """What an expression of a module is worth in a program that uses it."""
    name = _variable(node, module)
    if node is None or depth > _DEEPEST or sources.files.is_late():
        return [sources.value(node, module)]
    if name in module.each and name not in module.parameters and isinstance(node, ast.Name):
        items, place = sources.display(_table(module.each[name]), module)
        if found := [value for item in _items(items) for value in values(sources, item, place, program, depth + 1)]:
            return found
    known = sources.value(node, module)
    if known == Value() and isinstance(node, ast.Attribute):
        known = _property(sources, node.attr, module)
    parts, has_default = sources.reachable(module), known.text is not None
    if not known.variable and (written := sources.config.texts(node, parts, has_default=has_default)):
        only = written.pop()
        known = Value() if written or NOT_PLAIN.search(only) else Value(only)
    if known.variable or name not in module.parameters:
        return [known]
    passed = [
        value
        for argument, place in _arguments(sources, name, module, program)
        for value in values(sources, argument, place, program, depth + 1)
        if value != Value()
    ]
    return list(dict.fromkeys(passed)) or [known]


def _property(sources: Sources, name: str, module: Module) -> Value:
    """What the property of an object of the project returns."""
    places = (part for part in sources.reachable(module) if name in part.returns)
    return next((sources.value(part.returns[name], part) for part in places), Value())


def _variable(node: ast.expr | None, module: Module) -> str:
    """The name of a parameter, also of one that an object keeps as `self.name` or `self._name`."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name("self"), attr=name):
            kept = dotted(module.values.get(name))
            return kept if kept in module.parameters else name
    return ""


def _table(items: ast.expr) -> ast.expr:
    """`QUEUES` of `QUEUES.items()`."""
    match items:
        case ast.Call(func=ast.Attribute(value=table, attr="items" | "keys")):
            return table
    return items


def _items(node: ast.expr) -> list[ast.expr]:
    match node:
        case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
            return items
        case ast.Dict(keys=keys):
            return [key for key in keys if key is not None]
    return []


def _arguments(
    sources: Sources, name: str, module: Module, program: Module | None
) -> Iterator[tuple[ast.expr, Module]]:
    """What the calls of the project pass as a parameter of the module, in the program or else in what it imports."""
    owner, position = module.parameters[name]
    begins = program or module
    for place in dict.fromkeys([begins.path, *(part.path for part in sources.reachable(begins))]):
        part = sources.module(place)
        for called, calls in part.passing.items() if part is not None else ():
            if part is None or called.rpartition(".")[2] != owner or not _is(sources, part, called, module, owner):
                continue
            for call in calls:
                if (given := part.keyword(call, name)) is not None:
                    yield given, part
                elif position < len(call.args) and not any(isinstance(one, ast.Starred) for one in call.args):
                    yield call.args[position], part


def _is(sources: Sources, part: Module, called: str, module: Module, owner: str) -> bool:
    """Whether a name in one module is the function or class of another one."""
    if part is module:
        return "." not in called
    other, attribute = sources.imported(part, called.partition(".")[0])
    for _step in range(_DEEPEST):  # a package may import it from a module of its own
        if other is None or other is module or attribute not in other.imports:
            break
        other, attribute = sources.imported(other, attribute)
    return other is module and (attribute or called.rpartition(".")[2]) == owner
