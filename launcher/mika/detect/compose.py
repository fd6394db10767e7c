"""What each service of a compose file is: Temporal's, what the app needs, or the app itself; and which are started."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Literal

from mika.frozen import frozen
from mika.wording import _, joined, listed

Kind = Literal["temporal", "infrastructure", "app"]

TEMPORAL_PORT = 7233
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
_RUNNERS = re.compile(r"^(?:exec|uv run|poetry run|pdm run|pipenv run|hatch run|rye run)(?: --)? +")
_HOST = re.compile(r"(?:^|(?<=[@/,\s]))([\w.-]+)(?=$|[:/,\s])")
_BUILT = _("built from this project: the app")


@frozen
class ServiceText:
    """What a compose file says of a service. `ports`: those on this machine (0: none) and in the container.

    `variables` are those of its environment. `off`: why compose itself does not start it. `context`: the folder that it
    is built from, as it is written.
    """

    name: str
    image: str = ""
    is_built: bool = False
    ports: tuple[tuple[int, int], ...] = ()
    needs: tuple[str, ...] = ()
    command: str = ""
    variables: tuple[tuple[str, str], ...] = ()
    profiles: tuple[str, ...] = ()
    off: str = ""
    context: str | None = None

    @property
    def python_path(self) -> str:
        return dict(self.variables).get("PYTHONPATH", "")

    def others(self) -> set[str]:
        """The services that it depends on, and what may be the host name of one in its variables."""
        return {*self.needs, *(host for _name, value in self.variables for host in _HOST.findall(value))}


@frozen
class Runs:
    """A process that mika runs: its line of the Procfile, and the port by which it counts as ready (0: none)."""

    name: str
    command: str
    port: int = 0


@frozen
class JudgedService:
    """`ports` are those that it publishes on this machine; `why` it is of this kind, if that is not its image."""

    entry: ServiceText
    kind: Kind
    why: str = ""

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def ports(self) -> tuple[int, ...]:
        return tuple(published for published, _ in self.entry.ports if published)


def judge(
    entries: Sequence[ServiceText],
    processes: Sequence[Runs] = (),
    used_ports: Collection[int] = (),
    temporal_ports: Collection[int] = (),
) -> tuple[JudgedService, ...]:
    """What each of them is. By its image first, then by its ports and by who needs it.

    `used_ports`: ports of this machine that the project's own variables name. `temporal_ports`: where Temporal and its
    UI are expected to be published.
    """
    services = {entry.name: _by_itself(entry, temporal_ports) for entry in entries}
    built = {entry.image for entry in entries if entry.is_built and entry.image}
    for name, service in services.items():
        if service.kind == "infrastructure" and service.entry.image in built:
            services[name] = replace(service, kind="app", why=_BUILT)
    _give_temporal_its_own(services, used_ports)
    _give_the_app_its_own(services, processes)
    _keep_helpers(services)
    return tuple(services.values())


def reserved(entries: Sequence[ServiceText]) -> set[str]:
    """The names that no process may have: those of services that are certainly not the app."""
    return {
        one.name for one in judge(entries) if one.kind == "temporal" or (one.kind == "infrastructure" and not one.why)
    }


def is_temporal(entry: ServiceText) -> bool:
    """By its image."""
    return bool(_TEMPORAL.search(entry.image))


def _by_itself(entry: ServiceText, temporal_ports: Collection[int]) -> JudgedService:
    targets = {target for _, target in entry.ports}
    published = {published for published, _ in entry.ports}
    if is_temporal(entry):
        return JudgedService(entry, "temporal")
    if entry.is_built:
        return JudgedService(entry, "app", _BUILT)
    if _INFRASTRUCTURE.search(entry.image):
        return JudgedService(entry, "infrastructure")
    if TEMPORAL_PORT in targets or published & set(temporal_ports):
        return JudgedService(entry, "temporal", _("by its port"))
    if _PORTS & targets:
        return JudgedService(entry, "infrastructure", _("by its port"))
    if _PROGRAMS.search(entry.image):
        return JudgedService(entry, "app", _("{image} runs the project's code: the app", image=entry.image))
    return JudgedService(entry, "infrastructure", _("its image is not one of the project's own"))


def _give_temporal_its_own(services: dict[str, JudgedService], used_ports: Collection[int]) -> None:
    """Databases and helpers that only Temporal uses are a part of it."""
    others = {name: service.entry.others() for name, service in services.items()}
    users = {
        name: {other for other, names in others.items() if name in names and other != name}
        for name, service in services.items()
        if not service.entry.is_built and set(service.ports).isdisjoint(used_ports)
    }
    temporal = {name for name, service in services.items() if service.kind == "temporal"}
    temporal |= {name for name in users if "temporal" in name.lower()}
    while more := {name for name, by in users.items() if by and by <= temporal} - temporal:
        temporal |= more
    for name in temporal:
        if services[name].kind != "temporal":
            services[name] = replace(services[name], kind="temporal", why=_("only Temporal uses it"))


def _give_the_app_its_own(services: dict[str, JudgedService], processes: Sequence[Runs]) -> None:
    """What mika runs already, by its name, its command or its port; and what needs Temporal, as only the app does."""
    temporal = {name for name, service in services.items() if service.kind == "temporal"}
    commands = {essence(process.command): process.name for process in processes}
    names = {process.name: process.name for process in processes}
    ports = {process.port: process.name for process in processes if process.port}
    for name, service in services.items():
        if service.kind != "infrastructure":
            continue
        command = essence(service.entry.command)
        same = names.get(name) or (commands.get(command) if command else None)
        if same is not None:
            services[name] = replace(service, kind="app", why=_("`{name}` is the same: the app", name=same))
        elif port := next((port for port in service.ports if port in ports), 0):
            why = _("`{name}` listens at its port {port}", name=ports[port], port=port)
            services[name] = replace(service, kind="app", why=why)
        elif service.why and not temporal.isdisjoint(service.entry.others()):
            services[name] = replace(service, kind="app", why=_("it uses Temporal: the app"))


def _keep_helpers(services: dict[str, JudgedService]) -> None:
    """What infrastructure depends on is infrastructure (such as an init container), unless the project builds it."""
    waiting = [service.name for service in services.values() if service.kind == "infrastructure"]
    while waiting:
        for need in services[waiting.pop()].entry.needs:
            needed = services.get(need)
            if needed is not None and needed.kind == "app" and _PROGRAMS.search(needed.entry.image):
                services[need] = replace(needed, kind="infrastructure", why=_("infrastructure needs it"))
                waiting.append(need)


def essence(command: str) -> str:
    """What a command runs, without how: `python pkg.worker`, `uvicorn main:app`; empty if it does not say.

    Options, the runner in front of it, and the path of the program do not count.
    """
    if inner := re.search(r"""\bsh -l?c ["']?(.+?)["']?$""", command):
        command = inner[1]
    command = re.split(r"&&|;", command)[-1].strip()
    words = _RUNNERS.sub("", re.sub(r"^(\w+=\S+ +)+", "", command)).split()
    if not words:
        return ""
    program = re.split(r"[/\\]", words[0])[-1].removesuffix(".exe")
    if re.fullmatch(r"python[\d.]*w?|py", program):
        program, words = "python", [word for word in words if word not in ("-u", "-O", "-B")]
        if words[1:2] == ["-m"]:
            words = words[2:] if _subject(words[3:]) else ["python", *words[2:]]
            program = words[0]
    subject = _subject(words[1:])
    return f"{program} {subject}" if subject else ""


def _subject(words: Sequence[str]) -> str:
    return next((word for word in words if word[0] != "-" and re.search(r"[A-Za-z]", word)), "")


# --- the choice -------------------------------------------------------------------------------------------------------


@frozen
class Choice:
    """`started` are the names of the services that mika starts, `left_out` has the reason for each of the others."""

    started: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()

    def describe(self) -> str:
        """What is left out, in one line; those with the same reason together."""
        reasons: dict[str, list[str]] = {}
        for name, why in self.left_out:
            reasons.setdefault(why, []).append(name)
        return joined(_("; "), (_("{names} ({why})", names=listed(names), why=why) for why, names in reasons.items()))


def choose(
    services: Sequence[JudgedService],
    backend: str,
    *,
    named: Collection[str] | None,
    excluded: Collection[str],
    optional: Collection[str] = (),
) -> Choice:
    """Which services are started with the backend. `named` (with what they need) and `excluded` overrule the rules."""
    wanted = None if named is None else _with_needs(services, named)
    started, left_out = [], []
    for service in services:
        why = _why_not(service, backend, wanted, optional) if service.name not in excluded else _("excluded")
        if why:
            left_out.append((service.name, why))
        else:
            started.append(service.name)
    return Choice(tuple(started), tuple(left_out))


def _why_not(service: JudgedService, backend: str, wanted: Collection[str] | None, optional: Collection[str]) -> str:
    """Why it is not started; empty if it is."""
    is_temporals = backend == "docker" and service.kind == "temporal"
    if wanted is not None and not is_temporals:
        return "" if service.name in wanted else _("not in `services`")
    if service.entry.off:
        return service.entry.off
    match service.kind:
        case "temporal" if backend != "docker":
            return _("mika runs Temporal itself") if backend == "embedded" else _("backend {name}", name=backend)
        case "app":
            return service.why
        case "infrastructure" if backend != "docker" and service.name in optional:
            return _("optional: `--backend docker` starts it")
    return ""


def _with_needs(services: Sequence[JudgedService], named: Collection[str]) -> set[str]:
    needs = {service.name: service.entry.needs for service in services}
    wanted: set[str] = set()
    waiting = [name for name in named if name in needs]
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += [need for need in needs[name] if need in needs]
    return wanted


def ports_in(values: Collection[str]) -> Iterator[int]:
    """The ports of this machine that addresses in the values name: `mongodb://root@localhost:27017/x`."""
    for value in values:
        for match in re.finditer(r"(?:^|[@/,])(?:localhost|127\.0\.0\.1|\[::1\]):(\d{1,5})\b", value):
            yield int(match[1])
