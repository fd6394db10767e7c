"""Names and values in the syntax of Python: assignments, and the fields of settings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
"""What a variable of the environment is called."""
_OF_TEMPORAL = re.compile("temporal|worker", re.IGNORECASE)
_DISPLAYS = (ast.List, ast.Tuple, ast.Set, ast.Dict, ast.ListComp)
_ENVIRONMENT = re.compile(r"(os\.)?(getenv|environ\.get)")


def dotted(node: ast.AST | None) -> str:
    """`a.b.c`; empty if it is anything else."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(names)]) if isinstance(node, ast.Name) else ""


def literal(node: ast.AST | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def of_config(owner: ast.expr, key: ast.expr) -> str:
    """The key of `app.config["KEY"]`, as Flask has it; empty for any other table."""
    name = literal(key) or ""
    return name if dotted(owner).endswith(".config") and VARIABLE.fullmatch(name) else ""


def assigned(statement: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """The names that a statement assigns to, and the value; of `self.name = …` the attribute."""
    if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
        for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
            name = target.attr if isinstance(target, ast.Attribute) else dotted(target)
            if isinstance(target, ast.Subscript):
                name = of_config(target.value, target.slice)
            if name:
                yield name, statement.value


def is_of_temporal(node: ast.expr) -> bool:
    """Whether a name or text in it is about Temporal or a worker."""
    found = (getattr(part, "attr", None) or getattr(part, "id", None) or literal(part) for part in ast.walk(node))
    return any(name and _OF_TEMPORAL.search(name) for name in found)


def calls_of_base(made: ast.ClassDef) -> Iterator[ast.Call]:
    """What a class has as `super().__init__(…)`, as calls of the `Worker` that it is made from."""
    for base in (each for each in made.bases if dotted(each).endswith("Worker")):
        for node in ast.walk(made):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name("super")), attr="__init__")):
                    yield ast.copy_location(ast.Call(base, node.args, node.keywords), node)


def started_by(call: ast.Call) -> ast.Call | None:
    """The call that a thread or process is to make: of `Process(target=f, args=(x,))` and `submit(f, x)`."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    match given.get("target"), given.get("args"):
        case ast.Name() | ast.Attribute() as function, ast.Tuple(elts=arguments) | ast.List(elts=arguments):
            return ast.Call(function, arguments, [])
    match call:
        case ast.Call(
            func=ast.Attribute(attr="submit" | "to_thread" | "partial" | "start_soon") | ast.Name("partial"),
            args=[ast.Name() | ast.Attribute() as function, *arguments],
        ):
            return ast.Call(function, arguments, call.keywords)
    return None


def leaves_out(loop: ast.For | ast.comprehension) -> bool:
    """Whether a loop may do nothing with some of what it goes through."""
    if isinstance(loop, ast.comprehension):
        return any(not _is_not_empty(test, loop.target) for test in loop.ifs)
    return any(isinstance(node, ast.Continue | ast.Break) for node in ast.walk(loop))


def _is_not_empty(test: ast.expr, item: ast.expr) -> bool:
    """Whether a test is `item` or `item.strip()`, which leaves out empty texts alone."""
    match test:
        case ast.Call(func=ast.Attribute(value=inner, attr="strip"), args=[]):
            return _is_not_empty(inner, item)
    return dotted(test) == dotted(item) != ""


def is_display(node: ast.expr) -> bool:
    """Whether it is a list or table as it is written, or a text split at its commas."""
    match node:
        case ast.Call(func=ast.Attribute(attr="split"), args=[ast.Constant(",")]):
            return True
    return isinstance(node, _DISPLAYS)


def unpacked(call: ast.Call, name: str, values: Mapping[str, ast.expr]) -> ast.expr | None:
    """The item `name` of what a call unpacks with `**`: a table, or a name for one."""
    for given in (keyword.value for keyword in call.keywords if keyword.arg is None):
        items: list[tuple[str | None, ast.expr]] = []
        match values.get(dotted(given), given):
            case ast.Dict() as table:
                items = [(literal(key), item) for key, item in zip(table.keys, table.values, strict=True)]
            case ast.Call(func=ast.Name("dict"), keywords=keywords):
                items = [(keyword.arg, keyword.value) for keyword in keywords]
        if (found := dict(items).get(name)) is not None:
            return found
    return None


def fields(statement: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """Those of a class of settings: one without a value (`...`) is required."""
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name), value=None):
            yield name, ast.Constant(...)
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
    """That of a field of a dataclass, or of pydantic's: perhaps a call of its factory. `...` without one."""
    for keyword in field.keywords:
        if keyword.arg == "default":
            return keyword.value
        if keyword.arg == "default_factory":
            factory = keyword.value
            return factory.body if isinstance(factory, ast.Lambda) else ast.Call(factory, [], [])
    return field.args[0] if field.args else ast.Constant(...)


def returned_by(function: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.expr | None:
    """What a function without arguments returns, if it does nothing else."""
    statements = [
        one for one in function.body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
    ]
    match statements:
        case [ast.Return(value=value)] if all(argument.arg == "self" for argument in function.args.args):
            return value
    return None


def required_in(node: ast.expr) -> set[str]:
    """The variable that `os.environ["NAME"]` needs, and that a field of settings does which has no default."""
    match node:
        case ast.Subscript(value=owner, slice=ast.Constant(value=str(name)), ctx=ast.Load()):
            return {name} if dotted(owner) in ("os.environ", "environ") else set()
        case ast.Call(args=[ast.Constant(value=str(name)), ast.Constant(value=default)]):
            return {name} if default is ... else set()
    return set()


def names_variable(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=inner, attr="strip" | "split")):
            return names_variable(inner)
        case ast.Call(args=[first, *_]) | ast.Subscript(slice=first):
            name = literal(first)
            return name is not None and VARIABLE.fullmatch(name) is not None
        case ast.ListComp(generators=[loop]):
            return names_variable(loop.iter)
        case ast.BoolOp(values=operands):
            return any(map(names_variable, operands))
    return False


def gets(function: ast.AST, argument: str) -> bool:
    """Whether it gets the variable of the environment whose name is in the argument."""
    for node in ast.walk(function):
        match node:
            case ast.Call(func=called, args=[ast.Name(id=name), *_]) if _ENVIRONMENT.fullmatch(dotted(called)):
                is_it = name == argument
            case ast.Subscript(value=owner, slice=ast.Name(id=name)) if dotted(owner) in ("os.environ", "environ"):
                is_it = name == argument
            case _:
                is_it = False
        if is_it:
            return True
    return False
