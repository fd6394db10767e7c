"""What a loop takes from a table that is written in the project, and what a key of such a table chooses."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from mika.detect.fields import dotted, is_display, leaves_out, literal
from mika.detect.modules import Module
from mika.detect.sources import Sources
from mika.frozen import frozen

_DEEPEST = 4
Item = tuple[ast.expr, Module]
"""An expression, and the module that has it."""


@frozen
class Choice:
    """`items`: what there is for each key of a table; `index` says which one it is."""

    index: ast.expr
    items: dict[str, Item]


def items(sources: Sources, node: ast.expr, module: Module) -> list[Item] | None:
    """What an expression with the variable of a loop is, one after the other; None if it has none, or the table is not
    known. Nothing, if the loop leaves out some.
    """
    owner, key = _member(node)
    name = dotted(owner)
    if name not in module.each or name in module.parameters:
        return None
    looped, position, is_all = module.each[name]
    every = list(_elements(sources, looped, position, module))
    found = [item for element in every if (item := _part(sources, element, key)) is not None]
    return (found if is_all else []) if found and len(found) == len(every) else None


def choice(sources: Sources, node: ast.expr, module: Module) -> Choice | None:
    """For `TABLE[key]`, `TABLE[key].queue`, and `chosen.queue` after `chosen = TABLE[key]`."""
    for owner, key in ((node, ""), _member(node)):
        match module.values.get(owner.id) if isinstance(owner, ast.Name) else owner:
            case (
                ast.Subscript(value=named, slice=index)
                | ast.Call(func=ast.Attribute(value=named, attr="get"), args=[index, *_])
            ) if not isinstance(index, ast.Constant):
                table, place = sources.display(named, module)
                if isinstance(table, ast.Dict):
                    pairs = zip(table.keys, table.values, strict=True)
                    parts = ((literal(name), _part(sources, (value, place), key)) for name, value in pairs)
                    return Choice(index, {name: part for name, part in parts if name and part is not None})
    return None


def _member(node: ast.expr) -> tuple[ast.expr, str]:
    """The name of something, and the key or attribute of it; an empty one for all of it."""
    match node:
        case ast.Call(func=ast.Attribute(value=stripped, attr="strip"), args=[]):
            return _member(stripped)
        case ast.Attribute(value=owner, attr=key) | ast.Subscript(value=owner, slice=ast.Constant(value=str(key))):
            return owner, key
        case ast.Call(func=ast.Attribute(value=owner, attr="get"), args=[ast.Constant(value=str(key)), *_]):
            return owner, key
    return node, ""


def _elements(sources: Sources, looped: ast.expr, position: int, module: Module) -> Iterator[Item]:
    verb = ""
    match looped:
        case ast.Call(func=ast.Attribute(value=table, attr="items" | "keys" | "values" as verb)):
            looped = table
    table, place = _list(sources, looped, module)
    for element in _every(table, verb):
        if position < 0:
            yield element, place
        elif isinstance(element, ast.Tuple | ast.List) and position < len(element.elts):
            yield element.elts[position], place


def _list(sources: Sources, node: ast.expr, module: Module, depth: int = 0) -> Item:
    """What a loop goes through, behind names, functions without arguments, and lists that copy others."""
    got = node.func if isinstance(node, ast.Call) and not node.args and not node.keywords else node
    table, place = sources.display(got, module)
    match table:
        case ast.ListComp(elt=item, generators=[ast.comprehension(target=ast.Name(id=name)) as loop]):
            inner = loop.iter if dotted(_member(item)[0]) == name and not leaves_out(loop) else None
        case ast.Name(id=name):
            inner = place.values.get(name)
        case ast.Attribute(attr=name):  # of an object that is made elsewhere
            parts = (part for part in sources.reachable(place) if name in part.values and is_display(part.values[name]))
            place = next(parts, place)
            inner = place.values.get(name)
        case _:
            inner = None
    return _list(sources, inner, place, depth + 1) if inner is not None and depth < _DEEPEST else (table, place)


def _every(table: ast.expr, verb: str) -> list[ast.expr]:
    match table:
        case ast.Call(func=ast.Attribute(value=text, attr="split")) if is_display(table):
            return [text]  # with commas, for several queues
        case ast.List(elts=elements) | ast.Tuple(elts=elements) | ast.Set(elts=elements):
            return elements
        case ast.Dict(keys=keys, values=values):
            pairs = [(key, value) for key, value in zip(keys, values, strict=True) if key is not None]
            if verb == "items":
                return [ast.Tuple([key, value]) for key, value in pairs]
            return [value if verb == "values" else key for key, value in pairs]
    return []


def _part(sources: Sources, element: Item, key: str, depth: int = 0) -> Item | None:
    """What an element has under a key: a table, what a class is made with, a module; without a key, all of it."""
    node, place = element
    if not key or depth > 2:
        return element if not key else None
    match node:
        case ast.Dict(keys=keys, values=values):
            return next(((v, place) for k, v in zip(keys, values, strict=True) if literal(k) == key), None)
        case ast.Call(func=made):
            return _argument(sources, node, dotted(made), key, place)
        case ast.Name(id=name):
            if name in place.values:
                return _part(sources, (place.values[name], place), key, depth + 1)
            other, attribute = sources.imported(place, name)
            if other is None:
                return None
            if not attribute:
                return (other.values[key], other) if key in other.values else None
            if attribute in other.values:
                return _part(sources, (other.values[attribute], other), key, depth + 1)
            return (fields[key], other) if key in (fields := other.fields_of.get(attribute, {})) else None
    return None


def _argument(sources: Sources, call: ast.Call, made: str, key: str, place: Module) -> Item | None:
    """What a class of the project gets as its field `key`, or has as its default."""
    if (given := place.keyword(call, key)) is not None:
        return given, place
    other, attribute = sources.imported(place, made)
    for owner, name in ((place, made), (other, attribute)):
        fields = owner.fields_of.get(name, {}) if owner is not None else {}
        if owner is not None and key in fields:
            position = list(fields).index(key)
            return (call.args[position], place) if position < len(call.args) else (fields[key], owner)
    return None
