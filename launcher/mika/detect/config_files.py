"""Settings of programs in Python that stand in a file of YAML, TOML or INI, whatever reads it."""

from __future__ import annotations

import ast
import configparser
import posixpath
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from mika.detect import nodes
from mika.detect.fields import dotted, literal
from mika.detect.files import Files
from mika.detect.modules import Module
from mika.frozen import frozen

if TYPE_CHECKING:
    from yaml import Node

_NAMES = r"(?:config|conf|settings|application|app)[\w-]{0,60}\.(?:ya?ml|toml|ini|cfg)"
_ANY = r"[\w-]+\.(?:ya?ml|toml|ini|cfg)"
_FOLDERS = {"conf", "config", "configs", "settings"}
_READERS = {"yaml", "ruamel", "tomllib", "tomli", "toml", "omegaconf", "hydra", "dynaconf", "configparser"}
_LARGEST = 50_000
_LONGEST = 200
_DEEPEST = 4
_NOT_PLAIN = re.compile(r"\$\{|\{\{|@\w+|%\(")
"""What a library replaces."""
_VARIABLE = re.compile(r"\$\{(?:oc\.env:)?([A-Z][A-Z0-9_]{0,60})(?:(?::-?|,) {0,9}([^${}]{0,200}))?\}")
"""A variable of the environment, perhaps with a default: of OmegaConf, and as shells and many loaders have it."""


@frozen
class Setting:
    """What `file` has for a key in the table `parent`."""

    parent: str
    key: str
    text: str
    file: str

    def value(self) -> ast.expr | None:
        """The text, as an expression of Python; None if a library replaces something in it."""
        if (found := _VARIABLE.fullmatch(self.text)) is not None:
            default = ast.Constant(found[2] or None)
            return ast.Call(ast.Name("getenv"), [ast.Constant(found[1]), default], [])
        return None if _NOT_PLAIN.search(self.text) else ast.Constant(self.text)


class ConfigFiles:
    """The files of the project that are named as config files are."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._chosen: dict[str, str] = {}
        """Of a group of files that Hydra chooses from -> the one that is the default."""

    def settings(self, node: ast.expr, module: Module, parts: Iterable[Module], *, is_open: bool) -> list[Setting]:
        """What the files have for `settings.temporal.queue` or `settings["queue"]` of a module, if one of the `parts`
        of a program reads such files: in the table of that name, and if that `is_open`, without such a table in any.
        """
        path = _path(node, module)
        if len(path) < 2 or not self._files.others or not any(map(_reads, parts)):
            return []
        meant = [one for one in self._written if one.key == path[-1]]
        grouped = [one for one in self._grouped if one.key == path[-1]]
        named = [one for one in (*meant, *grouped) if one.parent == path[-2]]
        return named or (meant if is_open else [])

    @cached_property
    def _written(self) -> list[Setting]:
        return [found for path in self._files.named(_NAMES) for found in self._read(path, "")]

    @cached_property
    def _grouped(self) -> list[Setting]:
        """In a folder of settings: what is in `temporal.yaml`, or in one of those in `temporal/`, is of that name."""
        known = set(self._files.named(_NAMES)) if self._written else set()  # these tell also which one is chosen
        found: list[Setting] = []
        for path in self._files.named(_ANY):
            folder, name = posixpath.split(path)
            stem, group = posixpath.splitext(name)[0], posixpath.basename(folder)
            if group in _FOLDERS and path not in known:
                found += self._read(path, stem)
            elif posixpath.basename(posixpath.dirname(folder)) in _FOLDERS and self._chosen.get(group, stem) == stem:
                found += self._read(path, group)
        return found

    def _read(self, path: str, parent: str) -> list[Setting]:
        text = self._files.text(path, _LARGEST)
        try:
            if path.endswith(".toml"):
                found = list(_of_toml(parent.lower(), tomllib.loads(text)))
            elif path.endswith((".ini", ".cfg")):
                found = list(_of_ini(text))
            else:
                document = nodes.parse(path, text.encode())
                for one in nodes.values(nodes.get(document, "defaults")):
                    self._chosen |= {group: nodes.text(name) for group, name in nodes.items(one).items()}
                found = list(_of_yaml(parent.lower(), document))
        except (nodes.InvalidError, tomllib.TOMLDecodeError, configparser.Error, RecursionError):
            return []
        return [Setting(*one, path) for one in found]


def _path(node: ast.expr, module: Module, depth: int = 0) -> list[str]:
    """The names in it, the last one being the key; of a name for a part of the settings, those of this part."""
    match node:
        case ast.Name(id=name):
            part = module.values.get(name)
            is_part = isinstance(part, ast.Attribute | ast.Subscript | ast.Call) and depth < _DEEPEST
            path = _path(part, module, depth + 1) if is_part and part is not None else []
            return path if len(path) > 1 else [name]
        case ast.Attribute(value=owner, attr=name) if path := _path(owner, module, depth):
            return [*path, name.lower()]
        case ast.Subscript(value=owner, slice=index) if (item := literal(index)) and (
            path := _path(owner, module, depth)
        ):
            return [*path, item.lower()]
        case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=verb), args=[table, key]) if _is_parser(
            module.values.get(owner)
        ) and verb.startswith("get"):
            return [owner, (literal(table) or "").lower(), (literal(key) or "").lower()]
        case ast.Call(func=ast.Attribute(value=owner, attr="get"), args=[key, *_]) if (item := literal(key)) and (
            path := _path(owner, module, depth)
        ):
            return [*path, item.lower()]
        case ast.Call(func=called) if dotted(called):
            return [dotted(called)]
    return []


def _reads(module: Module) -> bool:
    return any(source.partition(".")[0] in _READERS for source, _name in module.imports.values())


def _is_parser(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Call) and dotted(node.func).endswith("ConfigParser")


def _of_ini(text: str) -> Iterator[tuple[str, str, str]]:
    parser = configparser.RawConfigParser(strict=False)
    parser.read_string(text)
    for name, section in parser.items():
        for key, value in section.items():
            if value and len(value) <= _LONGEST:
                yield name.lower(), key, value


def _of_toml(parent: str, table: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    for key, value in table.items():
        if isinstance(value, str | int) and len(str(value)) <= _LONGEST:
            yield parent, key.lower(), str(value)
        elif isinstance(value, dict):
            yield from _of_toml(key.lower(), value)


def _of_yaml(parent: str, node: Node | None) -> Iterator[tuple[str, str, str]]:
    for key, value in nodes.items(node).items():
        text = nodes.text(value)
        if text and len(text) <= _LONGEST:
            yield parent, key.lower(), text
        elif not text:
            yield from _of_yaml(key.lower(), value)
