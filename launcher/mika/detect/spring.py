"""Temporal's starter for Spring: it makes workers of annotated classes, and connects as the application's settings say.

https://docs.temporal.io/develop/java/integrations/spring-boot-integration
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from mika.detect import nodes
from mika.detect.files import Files
from mika.detect.sources import Value
from mika.frozen import frozen

if TYPE_CHECKING:
    from yaml import Node

_TARGET, _VARIABLE = "spring.temporal.connection.target", "SPRING_TEMPORAL_CONNECTION_TARGET"
"""A setting, and the variable of the environment that Spring takes in its place."""
_LOCAL = {"local": "127.0.0.1:7233"}
"""How the starter calls the server of this machine."""
_FILES = r"application\.(ya?ml|properties)"
_STARTER = "temporal-spring-boot"
_IMPLEMENTS = re.compile(r"@(?:WorkflowImpl|ActivityImpl)\s*\(([^()]{0,500})\)")
_GIVEN = re.compile(
    r'\b(taskQueues|workers)\s*=\s*(\{(?:[^{}"]|"[^"]*")*\}|\[(?:[^\[\]"]|"[^"]*")*\]|(?:[^,{}\[\]"]|"[^"]*")+)'
)
_LITERAL = re.compile(r'\s*"([^"\\]*)"\s*')
_PLACEHOLDER = re.compile(r"\$\{([\w.-]+)(?::([^{}]*))?\}")
_PROPERTY = re.compile(r"^[ \t]*([\w.\[\]-]+)[ \t]*[=:][ \t]*(.*?)[ \t]*$", re.MULTILINE)
_WORKER_NAME = re.compile(r"spring\.temporal\.workers\[\d+\]\.name")
_WORKER_QUEUE = re.compile(r"spring\.temporal\.workers\[\d+\]\.taskqueue")
_INJECTS = (
    r'@Value\(\s*"\\?\$\{([\w.-]{1,100})(?::([^{}"]{0,200}))?\}"\s*\)'
    r"(?:\s+(?:private|protected|public|internal|final|lateinit|val|var|String)\b){0,5}\s+"
)
"""In Kotlin the dollar has a backslash."""
_PROPERTIES = re.compile(
    r'@ConfigurationProperties\(\s*(?:(?:prefix|value)\s*=\s*)?"([\w.-]{1,100})"[^()]{0,100}\)'
    r"(?:(?!@ConfigurationProperties).){0,600}?\b(?:class|record)\s+(\w+)",
    re.DOTALL,
)
_MEMBERS = re.compile(r"[a-z]\w*(?:\.[a-z]\w*(?:\(\))?){1,4}")
_GETTER = re.compile(r"^get([A-Z])")
_APPLICATION = re.compile(r"@SpringBootApplication\b")
_DOCUMENTS = re.compile(r"^---[ \t]*$", re.MULTILINE)


@frozen
class Settings:
    """Those of one application, from the file `path`: by their full names, small and without hyphens."""

    path: str
    values: Mapping[str, str]
    variables: Mapping[str, str]

    def value(self, text: str) -> Value:
        """What a text is worth: it may be a setting or a variable of the environment, with a default."""
        placeholder = _PLACEHOLDER.fullmatch(text)
        if placeholder is None:
            return Value(None if "${" in text else text)
        name, default = placeholder[1], placeholder[2]
        if "." in name:
            found = self.values.get(_plain(name), default)
            return Value(found) if found is None or "${" not in found else Value()
        return Value(self.variables.get(name, default), name)

    def queues_with_work(self) -> Iterator[Value]:
        """Those of the workers whose classes or beans the settings name: another one polls only for annotated ones."""
        for key, value in self.values.items():
            worker = key.removesuffix(".taskqueue")
            parts = (f"{worker}.workflowclasses", f"{worker}.activitybeans")
            if _WORKER_QUEUE.fullmatch(key) and any(name.startswith(parts) for name in self.values):
                yield self.value(value)

    def queues(self, name: str) -> Iterator[Value]:
        """Those of the workers with this name."""
        keys = (key for key, value in self.values.items() if value == name and _WORKER_NAME.fullmatch(key))
        for key in keys:
            yield self.value(self.values.get(f"{key.removesuffix('.name')}.taskqueue", "${}"))


def settings(files: Files, home: str, manifest: str, variables: Mapping[str, str]) -> Settings | None:
    """The settings of the part in the folder `home`, if its `manifest` (a text) has the starter."""
    return any_settings(files, home, variables) if _STARTER in manifest else None


def any_settings(files: Files, home: str, variables: Mapping[str, str]) -> Settings:
    """The same of any application of Spring."""
    inside = [path for path in files.named(_FILES) if not home or path.startswith(f"{home}/")]
    path = next((path for path in inside if "/test/" not in path), "")
    return Settings(path, dict(_read(path, files.text(path))) if path else {}, variables)


def injected(source: str, name: str, found: Settings) -> Value | None:
    """What Spring gives a field or a parameter with `@Value`; None if it gives it nothing that is known."""
    given = re.search(rf"{_INJECTS}{re.escape(name)}\b", source)
    if given is None:
        return None
    key, default = given[1], given[2]
    if "." not in key and "-" not in key:
        value = found.values.get(_plain(key))
        return (
            found.value(f"${{{key}{'' if default is None else f':{default}'}}}")
            if value is None
            else found.value(value)
        )
    return _setting(found, key, default)


def bound(source: str, expression: str, classes: Iterable[str], found: Settings) -> Value | None:
    """What a member of an object with `@ConfigurationProperties` is worth: `properties.getTaskQueue()`.

    `classes` are the sources that may have its class; None if none of them has, or nothing that is known.
    """
    variable, *members = re.sub(r"\(\)", "", expression).split(".")
    if _MEMBERS.fullmatch(expression) is None:
        return None
    names = [_GETTER.sub(lambda getter: getter[1].lower(), member) for member in members]
    types = set(re.findall(rf"\b([A-Z]\w*)\s+{variable}\b", source))
    types |= set(re.findall(rf"\b{variable}\s*:\s*([A-Z]\w*)", source))
    for text in classes if types else ():
        for prefix, name in _PROPERTIES.findall(text):
            if name in types:
                defaults = set(re.findall(rf'\b{names[-1]}\b(?:\s*:\s*String)?\s*=\s*"([^"\n]{{1,200}})"', text))
                default = defaults.pop() if len(defaults) == 1 else None
                return _setting(found, ".".join([prefix, *names]), default)
    return None


def _setting(found: Settings, key: str, default: str | None) -> Value | None:
    """A setting by its full name; the variable of the environment that Spring takes in its place counts more."""
    written = found.values.get(_plain(key), default)
    if written is None:
        return None
    worth, variable = found.value(written), re.sub(r"\W", "_", key.replace("-", "")).upper()
    if variable in found.variables:
        return Value(found.variables[variable], variable)
    return Value(worth.text, worth.variable or variable) if worth != Value() else None


def queues(source: str, found: Settings, value: Callable[[str], Value]) -> Iterator[Value]:
    """The task queues of the classes in a source file; `value` tells what another expression than a text is worth.

    The application itself has the workers of the settings.
    """
    if _APPLICATION.search(source):
        yield from found.queues_with_work()
    for arguments in _IMPLEMENTS.findall(source):
        for kind, given in _GIVEN.findall(arguments):
            for expression in given.strip("{}[] \n").split(","):
                literal = _LITERAL.fullmatch(expression)
                if kind == "workers":
                    yield from list(found.queues(literal[1])) if literal else [Value()]
                elif expression.strip():
                    yield found.value(literal[1]) if literal else value(expression.strip())


def target(found: Settings) -> Value | None:
    """The address that the settings have for Temporal's server; a variable of the environment is stronger."""
    text = found.values.get(_TARGET)
    if text is None:
        return None
    value = found.value(text)
    return Value(_LOCAL.get(value.text or "", value.text), value.variable or _VARIABLE)


def _read(path: str, text: str) -> Iterator[tuple[str, str]]:
    """Of the first document of YAML: further ones are for a profile each."""
    if path.endswith(".properties"):
        yield from ((_plain(name), value) for name, value in _PROPERTY.findall(text))
        return
    first = next((part for part in _DOCUMENTS.split(text) if part.strip()), "")
    try:
        document = nodes.parse(path, first.encode())
    except nodes.InvalidError:
        return
    yield from _flat(document, "")


def _flat(node: Node | None, name: str) -> Iterator[tuple[str, str]]:
    for key, value in nodes.items(node).items():
        yield from _flat(value, f"{name}.{_plain(key)}" if name else _plain(key))
    for number, value in enumerate(nodes.values(node)):
        yield from _flat(value, f"{name}[{number}]")
    if text := nodes.text(node):
        yield name, text


def _plain(name: str) -> str:
    """Spring takes `task-queue` and `taskQueue` as the same name."""
    return name.replace("-", "").lower()
