"""What a function or a loop gets, where a value is its parameter or its variable: perhaps several."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Sequence

from mika.detect import tables
from mika.detect.fields import dotted
from mika.detect.modules import Module
from mika.detect.sources import Sources, Value

_DEEPEST = 4


def values(
    sources: Sources, node: ast.expr | None, module: Module, program: Module | None, depth: int = 0
) -> list[Value]:
    """What an expression of a module is worth in a program that uses it; without one, in any of the project."""
    name = _variable(node, module)
    if node is None or depth > _DEEPEST or sources.files.is_late():
        return [sources.value(node, module)]
    if (items := tables.items(sources, node, module)) is not None:
        return _worth(sources, items, program, depth)
    if (choice := tables.choice(sources, node, module)) is not None:
        chosen = {value.text for value in values(sources, choice.index, module, program, depth + 1)}
        return _worth(sources, [choice.items[text] for text in chosen if text in choice.items], program, depth)
    known = sources.value(node, module)
    if known == Value() and isinstance(node, ast.JoinedStr):
        return _joined(sources, node, module, program, depth)
    if known == Value() and isinstance(node, ast.Attribute):
        known = _property(sources, node.attr, module)
    if not known.variable:
        known = _in_file(sources, node, module, known, is_open=program is not None and known.text is None)
    if known.variable or name not in module.parameters:
        return [known]
    arguments = list(_arguments(sources, name, module, program))
    passed = [value for argument, place in arguments for value in values(sources, argument, place, program, depth + 1)]
    # The default of a parameter is not what it is where something else is passed, whatever that may be.
    return list(dict.fromkeys(value for value in passed if value != Value())) or [Value() if arguments else known]


def _joined(sources: Sources, node: ast.JoinedStr, module: Module, program: Module | None, depth: int) -> list[Value]:
    """Each text that `f"{name}-queue"` may be, if all parts are known, and none is told by a variable or a file."""
    expressions = (part.value if isinstance(part, ast.FormattedValue) else part for part in node.values)
    parts = [values(sources, one, module, program, depth + 1) for one in expressions]
    is_certain = all(value.text is not None and not value.variable and not value.file for p in parts for value in p)
    if not is_certain or sum(len(part) > 1 for part in parts) > 1:  # of two parts, not each pair may be meant
        return [Value()]
    return [Value("".join(value.text or "" for value in chosen)) for chosen in itertools.product(*parts)]


def _worth(sources: Sources, items: Sequence[tables.Item], program: Module | None, depth: int) -> list[Value]:
    """What each of them is worth; without any, it is not known."""
    found = (values(sources, item, place, program, depth + 1) for item, place in items)
    return list(dict.fromkeys(itertools.chain.from_iterable(found))) or [Value()]


def choices(sources: Sources, node: ast.expr | None, module: Module) -> dict[str, str]:
    """What an expression may be worth, by the key of a table that decides it."""
    choice = tables.choice(sources, node, module) if node is not None else None
    found = {key: sources.value(*item).text for key, item in choice.items.items()} if choice is not None else {}
    return {key: text for key, text in found.items() if text}


def certain(sources: Sources, node: ast.expr | None, module: Module) -> Value:
    """What an expression of a module is worth in all programs of the project."""
    found = values(sources, node, module, None)
    named = [value for value in found if value.variable]
    return (named or found)[0] if named or len(found) == 1 else Value()


def _in_file(sources: Sources, node: ast.expr, module: Module, known: Value, *, is_open: bool) -> Value:
    """What a config file has for it, if there is one; with several texts for it, nothing is known."""
    node, module = _assigned(sources, node, module)
    found = sources.config.settings(node, module, sources.reachable(module), is_open=is_open)
    if not found:
        return known
    if len({setting.text for setting in found}) > 1 or (text := found[0].value()) is None:
        return Value()
    value = sources.value(text, module)
    return Value(value.text, value.variable, found[0].file)


def _assigned(sources: Sources, node: ast.expr, module: Module) -> tables.Item:
    """What a constant of another module is assigned, and that module; else the expression itself."""
    name, _dot, rest = dotted(node).partition(".")
    other, attribute = sources.imported(module, name) if name not in module.values else (None, "")
    constant = attribute if not rest else rest if not attribute else ""
    if other is None or constant not in other.values:
        return node, module
    return other.values[constant], other


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


def _arguments(
    sources: Sources, name: str, module: Module, program: Module | None
) -> Iterator[tuple[ast.expr, Module]]:
    """What the calls of the project pass as a parameter of the module, in the program or else in what it imports."""
    owner, position = module.parameters[name]
    for part in sources.reachable(program) if program is not None else sources.reachable(*sources.entries):
        for called, calls in part.passing.items():
            if called.rpartition(".")[2] != owner or not _is(sources, part, called, module, owner):
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
