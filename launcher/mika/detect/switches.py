"""Variables of the environment that are off by default, and that turn Temporal or a worker on."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator

from mika.detect.fields import dotted, literal
from mika.detect.modules import Module
from mika.detect.sources import Sources, Value
from mika.frozen import frozen
from mika.wording import Text, _

_WHAT = "(?:TEMPORAL|(?:TEMPORAL_)?WORKERS?)"
_SWITCH = re.compile(
    rf"(?:\w+_)?{_WHAT}_(?:IS_)?(?:ENABLED?|ACTIVE)"
    rf"|(?:\w+_)?(?:ENABLE|USE|RUN|START)_(?:EMBEDDED_|IN_?PROCESS_|BACKGROUND_)?{_WHAT}"
)
"""What such a variable is called: one that is about TLS or metrics alone is none."""
_NO_SWITCH = re.compile(r"(?:^|_)(?:NO|NOT|DISABLE|WITHOUT)_")
_OFF = {"", "0", "false", "no", "off", "n", "f", "none"}
_DEEPEST = 5


@frozen
class Switch:
    """`value` turns it on; a program asks for it in the file `path`."""

    path: str
    variable: str
    value: str

    @property
    def note(self) -> Text:
        return _(
            "{variable} is off by default in {path}: it is set to {value}",
            path=self.path,
            variable=self.variable,
            value=self.value,
        )


def off(sources: Sources, module: Module, variables: Collection[str], *, has_worker: bool) -> list[Switch]:
    """Those that a program asks for, by their variables; what the user has set is not among them, nor what would start
    a worker in it if the project `has_worker`, a program for that.
    """
    parts = sources.reachable(module)
    if not any(part.uses_temporal for part in parts):
        return []
    found: dict[str, Switch] = {}
    for part in parts:
        for test in part.tests:
            for variable, value in _asked(sources, test, part):
                is_switch = _SWITCH.fullmatch(variable) and not _NO_SWITCH.search(variable)
                if is_switch and variable not in variables and not (has_worker and "WORKER" in variable):
                    found.setdefault(variable, Switch(part.path, variable, value))
    return list(found.values())


def _asked(sources: Sources, test: ast.expr, module: Module, depth: int = 0) -> Iterator[tuple[str, str]]:
    """The variables that a condition asks for and that are off, each with a value that turns it on."""
    if depth > _DEEPEST:
        return
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield from _asked(sources, operand, module, depth + 1)
        case ast.BoolOp(values=operands):
            for operand in operands:
                yield from _asked(sources, operand, module, depth + 1)
        case ast.Compare(left=left, ops=[ast.Eq() | ast.In()], comparators=[right]):
            wanted = [text for one in getattr(right, "elts", [right]) if (text := literal(one))]
            value = sources.value(_plain(left), module)
            if wanted and value.variable and (value.text or "").lower() not in wanted:
                yield value.variable, "true" if "true" in wanted else wanted[0]
        case ast.Call() | ast.Name() | ast.Attribute():
            value = _of_call(test) or sources.value(test, module)
            if value.variable and (value.text or "").lower() in _OFF:
                yield value.variable, "1" if value.text == "0" else "true"
            elif not value.variable and (meant := _meant(sources, test, module)) is not None:
                yield from _asked(sources, *meant, depth + 1)


def _plain(node: ast.expr) -> ast.expr:
    """`x` of `x.strip().lower()`."""
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
        node = node.func.value
    return node


def _of_call(node: ast.expr) -> Value | None:
    """What `env.bool("NAME", default=False)` and the like get, whatever gets it."""
    match node:
        case ast.Call(args=[ast.Constant(value=str(name)), *rest], keywords=keywords) if name.isupper():
            defaults = [*rest, *(keyword.value for keyword in keywords if keyword.arg == "default")]
            default = defaults[0] if defaults else ast.Constant("")
            return Value(str(default.value), name) if isinstance(default, ast.Constant) else None
    return None


def _meant(sources: Sources, node: ast.expr, module: Module) -> tuple[ast.expr, Module] | None:
    """The expression that a name has, or that a call converts, and the module that it is in."""
    if isinstance(node, ast.Call):
        return (_plain(node.args[0]), module) if len(node.args) == 1 else None
    first, _dot, _rest = dotted(node).partition(".")
    name = dotted(node).rpartition(".")[2]
    other, attribute = sources.imported(module, first)
    places = [place for place in (other, module, *sources.reachable(module)) if place is not None]
    known = ((place.values[each], place) for place in places for each in (name, attribute) if each in place.values)
    return next(((found, place) for found, place in known if dotted(found) != dotted(node)), None)
