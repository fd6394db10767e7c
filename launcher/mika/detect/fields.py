"""Names and values in the syntax of Python: assignments, and the fields of settings."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def dotted(node: ast.AST | None) -> str:
    """`a.b.c`; empty if it is anything else."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(names)]) if isinstance(node, ast.Name) else ""


def literal(node: ast.AST | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def assigned(statement: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """The names that a statement assigns to, and the value; of `self.name = …` the attribute."""
    if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
        for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
            name = target.attr if isinstance(target, ast.Attribute) else dotted(target)
            if name:
                yield name, statement.value


def fields(statement: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """Those of a class of settings: one without a value is required."""
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name), value=None):
            yield name, ast.Constant(None)
        case _:
            yield from assigned(statement)


def option_of(settings: ast.ClassDef, name: str) -> str:
    """One of the texts that configure pydantic's settings, such as `env_prefix`; empty without it."""
    for node in ast.walk(settings):
        match node:
            case ast.keyword(arg=given, value=ast.Constant(value=str(text))) if given == name:
                return text
            case ast.Assign(targets=[ast.Name(given)], value=ast.Constant(value=str(text))) if given == name:
                return text
            case ast.Dict(keys=keys, values=values):
                named = (value for key, value in zip(keys, values, strict=True) if literal(key) == name)
                if text := next(filter(None, map(literal, named)), ""):
                    return text
    return ""


def alias_of(field: ast.expr) -> str:
    """The variable that a field of pydantic's settings names itself, whatever prefix the class has; empty without."""
    given = {keyword.arg: keyword.value for keyword in field.keywords} if isinstance(field, ast.Call) else {}
    for name in ("validation_alias", "alias", "env"):
        match given.get(name):
            case ast.Constant(value=str(alias)):
                return alias
            case ast.Call(func=called, args=[first, *_]) if dotted(called).endswith("AliasChoices"):
                return literal(first) or ""
    return ""


def from_environment(name: str, default: ast.expr) -> ast.expr:
    """What pydantic's settings do with a field, as a call of `getenv`."""
    if isinstance(default, ast.Call):
        default = field_default(default)
    return ast.Call(ast.Name("getenv"), [ast.Constant(name.upper()), default], [])


def field_default(field: ast.Call) -> ast.expr:
    """That of a field of a dataclass, or of pydantic's: perhaps a call of its factory."""
    for keyword in field.keywords:
        if keyword.arg == "default":
            return keyword.value
        if keyword.arg == "default_factory":
            factory = keyword.value
            return factory.body if isinstance(factory, ast.Lambda) else ast.Call(factory, [], [])
    return field.args[0] if field.args else ast.Constant(None)
