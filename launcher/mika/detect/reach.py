"""Which code of a project a web app runs, and which only the program that is in the same file."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from mika.detect.modules import ON_IMPORT, ON_RUN, Module
from mika.detect.sources import Sources

Place = tuple[str, str]
"""The path of a module, and the name of a function or class in it."""


def reached(sources: Sources, module: Module, *, as_program: bool) -> set[Place]:
    """What runs, as far as names tell, when a module is imported, or run `as_program`.

    What a decorator gets is reached: something will call it, such as an event or a route.
    """
    begins = [(part.path, ON_IMPORT) for part in sources.reachable(module)]
    return reached_from(sources, [*begins, (module.path, ON_RUN)] if as_program else begins)


def reached_from(sources: Sources, begins: Iterable[Place]) -> set[Place]:
    """What these places call or name, with themselves."""
    waiting = deque(begins)
    found = set(waiting)
    while waiting:
        path, name = waiting.popleft()
        part = sources.module(path)
        for used in part.uses.get(name, ()) if part is not None else ():
            for place in _places(sources, part, used):
                if place not in found:
                    found.add(place)
                    waiting.append(place)
    return found


def _places(sources: Sources, module: Module | None, name: str, depth: int = 0) -> Iterator[Place]:
    """The function or class that a name in a module means: its own, or one that it imports."""
    if module is None or depth > 4 or sources.files.is_late():
        return
    first, _, rest = name.partition(".")
    if first in module.uses:
        yield module.path, first
        return
    for prefix in _prefixes(name):
        if prefix in module.imports:
            other, attribute = sources.imported(module, prefix)
            rest = name.removeprefix(prefix).removeprefix(".")
            if inner := ".".join(filter(None, (attribute, rest))):
                yield from _places(sources, other, inner, depth + 1)
            return
    for every in (each for each in module.imports if each.startswith("*")):
        yield from _places(sources, sources.imported(module, every)[0], name, depth + 1)


def _prefixes(name: str) -> Iterable[str]:
    """`a.b.c`, `a.b`, `a`."""
    while name:
        yield name
        name = name.rpartition(".")[0]
