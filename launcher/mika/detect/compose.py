"""What each service of a compose file is: Temporal, what the app needs, or the app itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mika.detect.files import Files

if TYPE_CHECKING:
    from yaml import Node

Kind = Literal["temporal", "infrastructure", "app", "unknown"]

_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")  # in compose's own order
_TEMPORAL = re.compile(r"(^|/)temporalio/|(^|/)temporal(ite)?(-\w+)*(:|$)")
_INFRASTRUCTURE = re.compile(
    r"postgres|postgis|pgvector|mysql|mariadb|mongo|redis|valkey|memcached|elasticsearch|opensearch|kibana|rabbitmq|nats|kafka"
    r"|zookeeper|minio|localstack|mailpit|mailhog|otel|opentelemetry|jaeger|prometheus|grafana|loki|cassandra|qdrant|chroma"
    r"|weaviate|milvus|neo4j|clickhouse|vault|consul|etcd|keycloak"
)
_PORTS = {5432, 3306, 27017, 6379, 5672, 9200, 9092, 11211, 9000, 1025, 4317}
_PROGRAMS = re.compile(
    r"(^|/)(python|node|golang|openjdk|ruby|php|dotnet|nginx|caddy|alpine|debian|ubuntu|busybox)(:|$)"
)


@dataclass(frozen=True, slots=True)
class Service:
    """`ports` are those that it publishes on this machine."""

    name: str
    kind: Kind
    image: str = ""
    ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ComposeFile:
    """`error` is one line if the file cannot be understood; then there are no services."""

    path: str
    services: tuple[Service, ...] = ()
    error: str = ""

    def of_kind(self, kind: Kind) -> tuple[Service, ...]:
        return tuple(service for service in self.services if service.kind == kind)


def find(files: Files) -> ComposeFile | None:
    """The project's compose file, classified: compose's own choice at the top, else the only one further down."""
    by_name = {path.lower(): path for path in files.others if "/" not in path}
    path = next((by_name[name] for name in _FILES if name in by_name), None)
    if path is None:
        others = list(files.named("|".join(map(re.escape, _FILES))))
        if len(others) != 1:
            return None
        path = others[0]
    return classify(path, files.read(path))


def classify(path: str, source: bytes) -> ComposeFile:
    """Reads YAML without building its values: an alias costs nothing, however often it is used."""
    import yaml

    try:
        document = yaml.compose(source, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        return ComposeFile(path, error=f"{path}:{line}: not valid YAML: {error.problem or error.context}")
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        return ComposeFile(path, error=f"{path}: not valid YAML: {' '.join(str(error).split())[:120]}")
    entries = _items(_get(document, "services"))
    services = {name: _service(name, node) for name, node in entries.items()}
    needs = {name: set(_names(_get(node, "depends_on"))) for name, node in entries.items()}
    for name, service in services.items():
        users = [user for user, needed in needs.items() if name in needed]
        is_temporals = users and all(services[user].kind == "temporal" for user in users)
        if service.kind == "infrastructure" and (is_temporals or "temporal" in name):
            services[name] = Service(name, "temporal", service.image, service.ports)
    return ComposeFile(path, tuple(services.values()))


def _service(name: str, node: Node) -> Service:
    image, ports = _text(_get(node, "image")), tuple(_published(_get(node, "ports")))
    return Service(name, _kind(node, image), image, ports)


def _kind(node: Node, image: str) -> Kind:
    plain = re.sub(r"\$\{\w+:?-([^}]*)\}", r"\1", image)  # ${MONGO_IMAGE:-mongo:8.0}
    if _TEMPORAL.search(plain):
        return "temporal"
    if _get(node, "build") is not None:
        return "app"
    if _INFRASTRUCTURE.search(plain) or _PORTS & {target for _, target in _port_pairs(_get(node, "ports"))}:
        return "infrastructure"
    return "app" if _PROGRAMS.search(plain) else "unknown" if plain or _get(node, "extends") else "app"


def _published(node: Node | None) -> Iterator[int]:
    return (published for published, _ in _port_pairs(node) if published)


def _port_pairs(node: Node | None) -> Iterator[tuple[int, int]]:
    """Published and target port of each entry, in the short form (`127.0.0.1:8000:80/tcp`) and the long one."""
    for entry in _values(node):
        parts = [_text(_get(entry, "published")), _text(_get(entry, "target"))]
        if isinstance(entry.value, str):
            text = re.sub(r"\$\{\w+:?-([^}]*)\}", r"\1", entry.value).partition("/")[0]
            parts = ["", *text.split(":")][-2:]
        numbers = [int(part) if part.isdecimal() else 0 for part in parts]
        yield numbers[0], numbers[1]


# --- nodes of YAML ----------------------------------------------------------------------------------------------------


def _items(node: Node | None) -> dict[str, Node]:
    """The keys of a mapping, with those that it merges (`<<: *other`): its own win, then those of the first one."""
    from yaml import MappingNode

    items: dict[str, Node] = {}
    waiting, seen = [node], set[int]()
    while waiting:
        current = waiting.pop()
        if not isinstance(current, MappingNode) or id(current) in seen:
            continue
        seen.add(id(current))
        for key, value in current.value:
            if key.value == "<<":
                waiting += _values(value)[::-1] or [value]
            else:
                items.setdefault(str(key.value), value)
    return items


def _get(node: Node | None, name: str) -> Node | None:
    return _items(node).get(name)


def _values(node: Node | None) -> list[Node]:
    from yaml import SequenceNode

    return list(node.value) if isinstance(node, SequenceNode) else []


def _names(node: Node | None) -> Iterator[str]:
    """The keys of a mapping, or the texts of a list."""
    yield from _items(node)
    yield from (_text(value) for value in _values(node))


def _text(node: Node | None) -> str:
    return node.value if node is not None and isinstance(node.value, str) else ""
