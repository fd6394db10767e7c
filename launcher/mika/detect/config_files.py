"""Settings of programs in Python that stand in a file of YAML or TOML, whatever reads it."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from mika.detect import nodes
from mika.detect.fields import dotted, literal
from mika.detect.files import Files
from mika.detect.modules import Module

if TYPE_CHECKING:
    from yaml import Node

_NAMES = r"(?:config|conf|settings|application|app)[\w-]{0,60}\.(?:ya?ml|toml)"
_READERS = {"yaml", "ruamel", "tomllib", "tomli", "toml", "omegaconf", "hydra", "dynaconf"}
_LARGEST = 50_000
_LONGEST = 200
NOT_PLAIN = re.compile(r"\$\{|\{\{|@\w+")
"""What a library replaces."""


class ConfigFiles:
    """The files of the project that are named as config files are."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def texts(self, node: ast.expr, parts: Iterable[Module], *, has_default: bool) -> set[str]:
        """What the files have for `settings.temporal.queue` or `settings["queue"]`, if one of the `parts` of a program
        reads such files: in the table of that name, and without a default in the source in any.
        """
        path = _path(node)
        if len(path) < 2 or not self._written or not any(map(_reads, parts)):
            return set()
        meant = [(parent, text) for parent, key, text in self._written if key == path[-1]]
        named = {text for parent, text in meant if parent == path[-2]}
        return named or {text for _parent, text in meant if not has_default}

    @cached_property
    def _written(self) -> list[tuple[str, str, str]]:
        """Each text, with its key and that of the table it is in."""
        return [found for path in self._files.named(_NAMES) for found in self._texts(path)]

    def _texts(self, path: str) -> list[tuple[str, str, str]]:
        text = self._files.text(path, _LARGEST)
        try:
            if path.endswith(".toml"):
                return list(_of_toml("", tomllib.loads(text)))
            return list(_of_yaml("", nodes.parse(path, text.encode())))
        except (nodes.InvalidError, tomllib.TOMLDecodeError, RecursionError):
            return []


def _path(node: ast.expr) -> list[str]:
    """The names in it, the last one being the key."""
    match node:
        case ast.Name(id=name):
            return [name]
        case ast.Attribute(value=owner, attr=name) if path := _path(owner):
            return [*path, name.lower()]
        case ast.Subscript(value=owner, slice=index) if (item := literal(index)) and (path := _path(owner)):
            return [*path, item.lower()]
        case ast.Call(func=ast.Attribute(value=owner, attr="get"), args=[key, *_]) if (item := literal(key)) and (
            path := _path(owner)
        ):
            return [*path, item.lower()]
        case ast.Call(func=called) if dotted(called):
            return [dotted(called)]
    return []


def _reads(module: Module) -> bool:
    return any(source.partition(".")[0] in _READERS for source, _name in module.imports.values())


def _of_toml(parent: str, table: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    for key, value in table.items():
        if isinstance(value, str) and len(value) <= _LONGEST:
            yield parent, key.lower(), value
        elif isinstance(value, dict):
            yield from _of_toml(key.lower(), value)


def _of_yaml(parent: str, node: Node | None) -> Iterator[tuple[str, str, str]]:
    for key, value in nodes.items(node).items():
        text = nodes.text(value)
        if text and len(text) <= _LONGEST:
            yield parent, key.lower(), text
        elif not text:
            yield from _of_yaml(key.lower(), value)
