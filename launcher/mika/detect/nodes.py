"""YAML as nodes, without building its values: an alias costs nothing, however often it is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mika.wording import _

if TYPE_CHECKING:
    from yaml import Node

_MOST_NODES = 200_000
"""With all aliases expanded, as compose expands them: a file of a megabyte has fewer."""


class InvalidError(Exception):
    """Not YAML, or more of it than anybody writes: one line with the file and the line."""


class TooLargeError(InvalidError):
    """Compose would need minutes and gigabytes for it."""


def parse(label: str, source: bytes) -> Node | None:
    """The document. Raises InvalidError."""
    import yaml

    try:
        document = yaml.compose(source, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        where, problem = f"{label}:{line}", error.problem or error.context
        raise InvalidError(_("{where}: not valid YAML: {problem}", where=where, problem=problem)) from None
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        problem = " ".join(str(error).split())[:120]
        raise InvalidError(_("{where}: not valid YAML: {problem}", where=label, problem=problem)) from None
    if document is not None and (large := _too_large(document)) is not None:
        line = large.start_mark.line + 1
        raise TooLargeError(
            _(
                "{file}:{line}: its aliases (`*name`) expand to more than {most} values",
                file=label,
                line=line,
                most=_MOST_NODES,
            )
        )
    return document


def _too_large(document: Node) -> Node | None:
    """The innermost node that has more nodes than allowed below it, or itself; None if there is none."""
    sizes: dict[int, float] = {}
    waiting: list[tuple[Node, bool]] = [(document, False)]
    while waiting:
        node, is_counted = waiting.pop()
        below = _below(node)
        if is_counted:
            size = 1 + sum(sizes[id(child)] for child in below)
            sizes[id(node)] = size
            if size > _MOST_NODES:
                return node
        elif id(node) not in sizes:
            sizes[id(node)] = float("inf")  # until it is counted: whoever meets it below itself has a cycle
            waiting.append((node, True))
            waiting += [(child, False) for child in below if id(child) not in sizes]
    return None


def _below(node: Node) -> list[Node]:
    from yaml import MappingNode

    if isinstance(node, MappingNode):
        return [part for pair in node.value for part in pair]
    return values(node)


def items(node: Node | None) -> dict[str, Node]:
    """The keys of a mapping, with those that it merges (`<<: *other`): its own win, then those of the first one."""
    from yaml import MappingNode

    found: dict[str, Node] = {}
    waiting, seen = [node], set[int]()
    while waiting:
        current = waiting.pop()
        if not isinstance(current, MappingNode) or id(current) in seen:
            continue
        seen.add(id(current))
        for key, value in current.value:
            if key.value == "<<":
                waiting += values(value)[::-1] or [value]
            else:
                found.setdefault(str(key.value), value)
    return found


def get(node: Node | None, name: str) -> Node | None:
    return items(node).get(name)


def values(node: Node | None) -> list[Node]:
    """The elements of a list."""
    from yaml import SequenceNode

    return list(node.value) if isinstance(node, SequenceNode) else []


def names(node: Node | None) -> Iterator[str]:
    """The keys of a mapping, or the texts of a list."""
    yield from items(node)
    yield from (text(value) for value in values(node))


def text(node: Node | None) -> str:
    return node.value if node is not None and isinstance(node.value, str) else ""
