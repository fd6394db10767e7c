"""What the compose file says about each service, as far as mika needs it."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mika import address
from mika.config.load import Config
from mika.containers.one_shot import COMPLETED, is_one_shot
from mika.detect.compose import TEMPORAL_PORT, ServiceText
from mika.errors import UsageError
from mika.frozen import frozen
from mika.wording import _

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SCRIPT_SUFFIXES = (".sh", ".bash")
_FILE_SUFFIXES = (*_SCRIPT_SUFFIXES, ".yaml", ".yml", ".json", ".conf", ".cfg", ".sql", ".js", ".toml", ".ini", ".env")
_MAX_FILES = 500  # that are looked at in a mounted folder


@frozen
class Port:
    """`published` on the host's address `host` leads to `target` in the container."""

    host: str
    published: int
    target: int


@frozen
class Service:
    """`role`: temporal, temporal-ui, mongodb or postgresql; empty for a service that mika does not know.

    `may_exit`: exit code 0 is not a crash, so it is not restarted. A `one_shot` is ready only after it has exited.
    """

    name: str
    image: str
    platform: str | None
    is_built: bool
    """The compose file builds its image."""
    may_pull: bool
    ports: tuple[Port, ...]
    needs: tuple[str, ...]
    one_shot: bool
    may_exit: bool
    has_health_check: bool
    grace: float
    """Seconds between the request to stop and the kill."""
    environment: Mapping[str, str]
    mounts: tuple[Path, ...]
    has_init_scripts: bool = False
    """Scripts of the project set its database up, and may make other users."""
    role: str = ""

    def port(self, target: int | None = None) -> Port | None:
        return next((port for port in self.ports if target in (None, port.target)), None)


@frozen
class ComposeFile:
    project: str
    services: tuple[Service, ...]
    downloads_mb: Mapping[str, int]
    """Download size of each image, as far as the file states it (`x-download-mb`)."""
    entries: tuple[ServiceText, ...] = ()
    up_arguments: tuple[str, ...] = ()
    """For `docker compose up`: the services, if they are not all of the file."""

    def with_role(self, role: str) -> Service | None:
        return next((service for service in self.services if service.role == role), None)

    def only(self, names: Collection[str]) -> ComposeFile:
        """The same with these services alone, as if the others did not exist."""
        kept = [service for service in self.services if service.name in names]
        if len(kept) == len(self.services):
            return self
        chosen = tuple(
            replace(service, needs=tuple(need for need in service.needs if need in names)) for service in kept
        )
        # Otherwise compose would start what they depend on.
        without_needs = ["--no-deps"] if chosen != tuple(kept) else []
        arguments = (*without_needs, *(service.name for service in chosen))
        return replace(self, services=chosen, up_arguments=arguments)


def parse(document: Mapping[str, Any], config: Config) -> ComposeFile:
    """`document` is the output of `docker compose config --format json`."""
    entries: dict[str, Mapping[str, Any]] = {
        name: entry for name, entry in (document.get("services") or {}).items() if _replicas(entry) != 0
    }
    awaited = {
        need
        for entry in entries.values()
        for need, options in _dependencies(entry).items()
        if options.get("condition") == COMPLETED
    }
    temporal_port, ui_port = config.port("TEMPORAL_PORT"), config.port("TEMPORAL_UI_PORT")
    services = tuple(_service(name, entries, name in awaited, temporal_port, ui_port) for name in entries)
    downloads = document.get("x-download-mb")
    sizes = {image: mb for image, mb in downloads.items() if isinstance(mb, int)} if isinstance(downloads, dict) else {}
    judged = tuple(_entry(name, entry) for name, entry in entries.items())
    return ComposeFile(str(document.get("name") or ""), services, sizes, judged)


def check_temporal(file: ComposeFile, config: Config) -> None:
    """Raise UsageError unless the file publishes Temporal where it is expected."""
    if file.with_role("temporal") is not None:
        return
    temporal_port = config.port("TEMPORAL_PORT")
    all_ports = [port for service in file.services for port in service.ports]
    if other_ports := [port.published for port in all_ports if port.target == TEMPORAL_PORT]:
        raise UsageError(
            _(
                "the compose file publishes Temporal on port {published}, but TEMPORAL_PORT is {port}",
                published=other_ports[0],
                port=temporal_port,
            ),
            _(
                "set TEMPORAL_PORT={port} in .env, or publish it as ${{TEMPORAL_PORT:-7233}}:7233",
                port=other_ports[0],
            ),
        )
    raise UsageError(
        _("no service of the compose file publishes TEMPORAL_PORT ({port})", port=temporal_port),
        _("give the Temporal service `ports: [127.0.0.1:{port}:7233]`, or use another backend", port=temporal_port),
    )


def _entry(name: str, entry: Mapping[str, Any]) -> ServiceText:
    """For the judgement what it is."""
    commands = [entry.get(key) or () for key in ("entrypoint", "command")]
    words = [word for command in commands for word in ([command] if isinstance(command, str) else command)]
    return ServiceText(
        name,
        str(entry.get("image") or ""),
        "build" in entry,
        tuple((port.published, port.target) for port in _ports(entry)),
        tuple(_dependencies(entry)),
        " ".join(map(str, words)),
        tuple((name, str(value)) for name, value in (entry.get("environment") or {}).items() if value is not None),
    )


def _dependencies(entry: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    depends_on = entry.get("depends_on") or {}
    return {name: {} for name in depends_on} if isinstance(depends_on, list) else dict(depends_on)


def _replicas(entry: Mapping[str, Any]) -> object:
    """How many containers the service should have; 0 switches it off."""
    return entry.get("scale", (entry.get("deploy") or {}).get("replicas", 1))


def _service(
    name: str, entries: Mapping[str, Mapping[str, Any]], is_awaited: bool, temporal_port: int, ui_port: int
) -> Service:
    entry = entries[name]
    ports = tuple(_ports(entry))
    role = _role(ports, temporal_port, ui_port)
    restart = entry.get("restart")
    check = entry.get("healthcheck") or {}
    binds = [str(mount.get("source")) for mount in entry.get("volumes") or () if mount.get("type") == "bind"]
    # On Windows `/c/...` is a path inside the engine's virtual machine, which cannot be checked from here.
    mounts = [Path(source) for source in binds if not (sys.platform == "win32" and source.startswith("/"))]
    return Service(
        name=name,
        image=str(entry.get("image") or ""),
        platform=entry.get("platform"),
        is_built="build" in entry,
        may_pull="build" not in entry and entry.get("pull_policy") not in ("never", "build"),
        ports=ports,
        # An optional dependency may be missing: its profile is not active.
        needs=tuple(need for need in _dependencies(entry) if need in entries),
        one_shot=is_one_shot(is_awaited=is_awaited, restart=restart, has_ports=bool(ports)),
        may_exit=is_awaited or (restart in (None, "no", "on-failure") and not role),
        has_health_check=bool(check.get("test")) and check.get("test") != ["NONE"] and not check.get("disable"),
        grace=_seconds(entry.get("stop_grace_period"), 10.0),
        environment={key: str(value) for key, value in (entry.get("environment") or {}).items() if value is not None},
        mounts=tuple(mounts),
        has_init_scripts=any(
            str(mount.get("target")).startswith("/docker-entrypoint-initdb.d") for mount in entry.get("volumes") or ()
        ),
        role=role,
    )


def _role(ports: tuple[Port, ...], temporal_port: int, ui_port: int) -> str:
    published, targets = {port.published for port in ports}, {port.target for port in ports}
    if temporal_port in published:
        return "temporal"
    if ui_port in published:
        return "temporal-ui"
    return "mongodb" if 27017 in targets else "postgresql" if 5432 in targets else ""


def _ports(entry: Mapping[str, Any]) -> list[Port]:
    ports = []
    for port in entry.get("ports") or ():
        published = str(port.get("published") or "")
        if published.isdecimal() and port.get("protocol", "tcp") == "tcp":
            ports.append(Port(str(port.get("host_ip") or "0.0.0.0"), int(published), int(port["target"])))
    return ports


def _seconds(text: object, default: float) -> float:
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", str(text or ""))
    return sum(float(number) * _UNITS[unit] for number, unit in parts) if parts else default


def mongodb_url(service: Service) -> str | None:
    """The MONGODB_URL of the processes: the user that the image creates, at the published port."""
    port = service.port(27017)
    if port is None:
        return None
    user = service.environment.get("MONGO_INITDB_ROOT_USERNAME", "")
    password = service.environment.get("MONGO_INITDB_ROOT_PASSWORD", "")
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
    return f"mongodb://{login}{address.join(address.reachable(port.host), port.published)}/"


def check_mounts(file: ComposeFile, project: Path) -> None:
    """Raise UsageError if a mounted file is missing, or a mounted script has Windows line endings."""
    for service in file.services:
        for mount in service.mounts:
            if not mount.exists():
                # Compose would create a folder of that name, and the container would fail.
                if mount.suffix in _FILE_SUFFIXES:
                    raise UsageError(
                        _("the service {name} mounts {file}, which does not exist", name=service.name, file=mount),
                        _("restore the file, or correct `volumes` in the compose file"),
                    )
                continue
            for script in _scripts(mount):
                if _has_crlf(script):
                    raise UsageError(
                        _(
                            "{file}: has Windows line endings (CRLF), which the shell in the container"
                            " {name} does not understand",
                            file=_short(script, project),
                            name=service.name,
                        ),
                        _(
                            "save it with LF; with git: put `*.sh text eol=lf` into .gitattributes"
                            " and check it out again"
                        ),
                    )


def _scripts(mount: Path) -> list[Path]:
    if mount.is_file():
        return [mount] if mount.suffix in _SCRIPT_SUFFIXES else []
    try:
        return [path for path in islice(mount.iterdir(), _MAX_FILES) if path.suffix in _SCRIPT_SUFFIXES]
    except OSError:
        return []


def _has_crlf(script: Path) -> bool:
    try:
        return b"\r\n" in script.read_bytes()[:65536]
    except OSError:
        return False


def _short(path: Path, project: Path) -> str:
    return str(path.relative_to(project)) if path.is_relative_to(project) else str(path)
