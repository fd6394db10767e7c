"""Reads the project's compose file as compose does, as far as it matters here, without compose and without an engine.

Several files, `extends`, `include`, profiles, merged keys, and variables with their defaults.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mika.config import compose_file
from mika.detect import nodes
from mika.detect.compose import ServiceText
from mika.detect.files import LARGEST
from mika.errors import UsageError, describe
from mika.frozen import frozen
from mika.wording import _

if TYPE_CHECKING:
    from yaml import Node

_MOST_FILES = 30
_MOST_BASES = 10
_MOST_SERVICES = 300
_VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<plain>\w+)|\{(?P<name>\w+)(?:(?P<operator>:?[-?+])(?P<word>[^${}]*))?\})"
)
OPTIONAL = "x-mika-optional"
"""At the top of a compose file: services that the app can do without, so that only `--backend docker` starts them."""


@frozen
class ComposeText:
    """`error` is one line if a file of it cannot be understood; then there are no services."""

    path: str
    entries: tuple[ServiceText, ...] = ()
    optional: tuple[str, ...] = ()
    error: str = ""


def load(root: Path, env: Mapping[str, str]) -> ComposeText | None:
    """The compose file of the folder; None without one. `env` fills in its variables."""
    label = compose_file.file_of(root, env)
    if label is None:
        return None
    reader = _Reader(root, env)
    try:
        for path in compose_file.paths(root, env):
            reader.read(path)
        return ComposeText(label, tuple(reader.entries()), tuple(reader.optional))
    except nodes.InvalidError as error:
        return ComposeText(label, error=describe(error))
    except OSError as error:
        return ComposeText(label, error=_("{file}: cannot be read: {error}", file=label, error=error.strerror or error))


def refuse_bombs(root: Path, env: Mapping[str, str]) -> None:
    """Raise UsageError for a file that compose should not be given. Any other mistake compose finds itself."""
    reader = _Reader(root, env)
    try:
        for path in compose_file.paths(root, env):
            reader.read(path)
        tuple(reader.entries())  # what they extend, too
    except nodes.TooLargeError as error:
        raise UsageError(describe(error), _("compose would need too much memory for it: make it smaller")) from None
    except (nodes.InvalidError, OSError):
        return


class _Reader:
    def __init__(self, root: Path, env: Mapping[str, str]) -> None:
        self._root, self._env = root, env
        self._documents: dict[Path, Node | None] = {}
        self._services: dict[str, list[tuple[Path, Node]]] = {}
        """The parts of each service, in the order of the files."""
        self._added: set[Path] = set()
        self._room = LARGEST
        self.optional: list[str] = []

    def read(self, path: Path) -> None:
        """Add the services of a file, and of those that it includes."""
        if path in self._added:
            return
        self._added.add(path)
        document = self._document(path)
        for included in nodes.values(nodes.get(document, "include")):
            where = nodes.get(included, "path") or included
            for part in nodes.values(where) or [where]:
                self.read(path.parent / self._fill_in(nodes.text(part)))
        for name, node in nodes.items(nodes.get(document, "services")).items():
            self._services.setdefault(name, []).append((path, node))
        if len(self._services) > _MOST_SERVICES:
            raise nodes.TooLargeError(
                _("{file}: more than {most} services", file=self._label(path), most=_MOST_SERVICES)
            )
        self.optional += nodes.names(nodes.get(document, OPTIONAL))

    def entries(self) -> Iterator[ServiceText]:
        active = {*self._env.get("COMPOSE_PROFILES", "").replace(" ", "").split(",")}
        for name, parts in self._services.items():
            merged: dict[str, Node] = {}
            ports: list[tuple[int, int]] = []
            needs: list[str] = []
            for path, node in parts:
                own = self._with_base(path, node, _MOST_BASES)
                ports += self._ports(own.get("ports"))
                needs += nodes.names(own.get("depends_on"))
                merged |= own
            profiles = tuple(self._fill_in(text) for text in nodes.names(merged.get("profiles")))
            yield ServiceText(
                name,
                self._fill_in(nodes.text(merged.get("image"))),
                "build" in merged,
                tuple(ports),
                tuple(dict.fromkeys(needs)),
                " ".join(filter(None, (self._command(merged.get(key)) for key in ("entrypoint", "command")))),
                tuple((name, self._fill_in(text)) for name, text in _environment(merged.get("environment"))),
                profiles,
                _why_off(merged, profiles, active),
                _context(merged.get("build")),
            )

    def _document(self, path: Path) -> Node | None:
        if path not in self._documents:
            label = self._label(path)
            if len(self._documents) >= _MOST_FILES:
                raise nodes.TooLargeError(_("{file}: more than {most} files", file=label, most=_MOST_FILES))
            with path.open("rb") as file:
                source = file.read(self._room + 1)
            self._room -= len(source)
            if self._room < 0:
                raise nodes.TooLargeError(
                    _("{file}: with what it includes, larger than {most} bytes", file=label, most=LARGEST)
                )
            self._documents[path] = nodes.parse(label, source)
        return self._documents[path]

    def _label(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix() if path.is_relative_to(self._root) else str(path)

    def _with_base(self, path: Path, node: Node, depth: int) -> dict[str, Node]:
        """The keys of a service, with those of the one that it extends."""
        own = nodes.items(node)
        extends = own.get("extends")
        if extends is None or not depth:
            return own
        name = nodes.text(extends) or nodes.text(nodes.get(extends, "service"))
        file = self._fill_in(nodes.text(nodes.get(extends, "file")))
        base_path = path.parent / file if file else path
        base = nodes.get(nodes.get(self._document(base_path), "services"), name)
        return own if base is None else self._with_base(base_path, base, depth - 1) | own

    def _command(self, node: Node | None) -> str:
        return self._fill_in(nodes.text(node) or " ".join(map(nodes.text, nodes.values(node))))

    def _ports(self, node: Node | None) -> Iterator[tuple[int, int]]:
        """Published and target port of each entry, in the short form (`127.0.0.1:8000:80/tcp`) and the long one."""
        for entry in nodes.values(node):
            parts = [nodes.text(nodes.get(entry, "published")), nodes.text(nodes.get(entry, "target"))]
            if short := nodes.text(entry):
                parts = ["", *self._fill_in(short).partition("/")[0].split(":")][-2:]
            # Of a range (8000-8010), the first one.
            numbers = [self._fill_in(part).partition("-")[0] for part in parts]
            published, target = (int(number) if number.isdecimal() else 0 for number in numbers)
            yield published, target

    def _fill_in(self, text: str) -> str:
        """With its variables; those that are not set are empty, as in compose."""
        for _time in range(5):  # a default may have a variable of its own: the innermost first
            filled = _VARIABLE.sub(self._value, text)
            if filled == text:
                break
            text = filled
        return text.replace("\0", "$")

    def _value(self, match: re.Match[str]) -> str:
        if match["escaped"]:
            return "\0"  # until all is filled in
        value, operator, word = self._env.get(match["name"] or match["plain"]), match["operator"] or "", match["word"]
        has_value = bool(value) if operator.startswith(":") else value is not None
        if operator.endswith("+"):
            return word if has_value else ""
        return (value or "") if has_value or not operator.endswith("-") else word


def _why_off(service: Mapping[str, Node], profiles: tuple[str, ...], active: set[str]) -> str:
    if profiles and active.isdisjoint(profiles) and "*" not in active:
        return _("its profile {profile} is not active", profile=profiles[0])
    scale = nodes.text(service.get("scale") or nodes.get(service.get("deploy"), "replicas"))
    return _("scale is 0") if scale == "0" else ""


def _environment(node: Node | None) -> Iterator[tuple[str, str]]:
    yield from ((name, nodes.text(value)) for name, value in nodes.items(node).items())
    for entry in nodes.values(node):
        name, _equals, value = nodes.text(entry).partition("=")
        yield name, value


def _context(build: Node | None) -> str | None:
    """The folder of a build with the usual Dockerfile; None for any other one."""
    if nodes.text(nodes.get(build, "dockerfile")) not in ("", "Dockerfile", "./Dockerfile"):
        return None
    return nodes.text(build) or nodes.text(nodes.get(build, "context")) or None
