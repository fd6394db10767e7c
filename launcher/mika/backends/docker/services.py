"""What the compose file says of each service, as far as mika needs it."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mika.config.load import Config
from mika.errors import UsageError

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SCRIPT = (".sh", ".bash")
_FILE = (*_SCRIPT, ".yaml", ".yml", ".json", ".conf", ".cfg", ".sql", ".js", ".toml", ".ini", ".env")
_MANY = 500  # files that are looked at in a mounted folder


@dataclass(frozen=True, slots=True)
class Port:
    """`published` on the host's address `host` leads to `target` in the container."""

    host: str
    published: int
    target: int


@dataclass(frozen=True, slots=True)
class Service:
    """`role`: temporal, temporal-ui, mongodb, postgresql, or empty for what mika knows nothing special of.

    `may_end`: exit code 0 is no crash to mend. A `one_shot` is even waited for until it has ended.
    """

    name: str
    image: str
    platform: str | None
    builds: bool
    pulls: bool
    ports: tuple[Port, ...]
    needs: tuple[str, ...]
    one_shot: bool
    may_end: bool
    has_health: bool
    grace: float
    environment: Mapping[str, str]
    mounts: tuple[Path, ...]
    role: str = ""

    def port(self, target: int | None = None) -> Port | None:
        return next((port for port in self.ports if target in (None, port.target)), None)


@dataclass(frozen=True, slots=True)
class ComposeFile:
    """The whole file."""

    project: str
    services: tuple[Service, ...]
    downloads_mb: Mapping[str, int]
    """What a pull of an image brings, as far as the file says so (`x-download-mb`)."""

    def with_role(self, role: str) -> Service | None:
        return next((service for service in self.services if service.role == role), None)

    def needing(self, name: str) -> list[Service]:
        return [service for service in self.services if name in service.needs]


def parse(document: Mapping[str, Any], config: Config) -> ComposeFile:
    """`document` is what `docker compose config --format json` prints. Raises UsageError when it has no Temporal."""
    raw: dict[str, Mapping[str, Any]] = {
        name: entry for name, entry in (document.get("services") or {}).items() if _replicas(entry) != 0
    }
    finished = {
        need
        for entry in raw.values()
        for need, how in _depends(entry).items()
        if how.get("condition") == "service_completed_successfully"
    }
    temporal, ui = config.port("TEMPORAL_PORT"), config.port("TEMPORAL_UI_PORT")
    services = tuple(_service(name, raw, name in finished, temporal, ui) for name in raw)
    downloads = document.get("x-download-mb")
    sizes = {image: mb for image, mb in downloads.items() if isinstance(mb, int)} if isinstance(downloads, dict) else {}
    found = ComposeFile(str(document.get("name") or ""), services, sizes)
    if found.with_role("temporal") is None:
        elsewhere = [port.published for service in services for port in service.ports if port.target == 7233]
        if elsewhere:
            raise UsageError(
                f"the compose file publishes Temporal on port {elsewhere[0]}, and TEMPORAL_PORT is {temporal}",
                f"set TEMPORAL_PORT={elsewhere[0]} in .env, or publish it as ${{TEMPORAL_PORT:-7233}}:7233",
            )
        raise UsageError(
            f"no service of the compose file publishes TEMPORAL_PORT ({temporal})",
            f"give the Temporal service `ports: [127.0.0.1:{temporal}:7233]`, or use another backend",
        )
    return found


def _depends(entry: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = entry.get("depends_on") or {}
    return {name: {} for name in found} if isinstance(found, list) else dict(found)


def _replicas(entry: Mapping[str, Any]) -> Any:
    """How many containers the service is to have; 0 is a way to switch it off."""
    return entry.get("scale", (entry.get("deploy") or {}).get("replicas", 1))


def _service(name: str, raw: Mapping[str, Mapping[str, Any]], finished: bool, temporal: int, ui: int) -> Service:
    entry = raw[name]
    ports = tuple(_ports(entry))
    published, targets = {port.published for port in ports}, {port.target for port in ports}
    if temporal in published:
        role = "temporal"
    elif ui in published:
        role = "temporal-ui"
    else:
        role = "mongodb" if 27017 in targets else "postgresql" if 5432 in targets else ""
    check = entry.get("healthcheck") or {}
    binds = [str(mount.get("source")) for mount in entry.get("volumes") or () if mount.get("type") == "bind"]
    # On Windows `/c/...` is a path of the engine's machine, which nobody here can look at.
    mounts = [Path(source) for source in binds if not (sys.platform == "win32" and source.startswith("/"))]
    return Service(
        name=name,
        image=str(entry.get("image") or ""),
        platform=entry.get("platform"),
        builds="build" in entry,
        pulls="build" not in entry and entry.get("pull_policy") not in ("never", "build"),
        ports=ports,
        needs=tuple(need for need in _depends(entry) if need in raw),  # an optional one may be in no active profile
        # With `restart: "no"` and no port, too: nobody could be served by it after its end.
        one_shot=finished or (entry.get("restart") == "no" and not ports),
        may_end=finished or (entry.get("restart") in (None, "no", "on-failure") and not role),
        has_health=bool(check.get("test")) and check.get("test") != ["NONE"] and not check.get("disable"),
        grace=_seconds(entry.get("stop_grace_period"), 10.0),
        environment={key: str(value) for key, value in (entry.get("environment") or {}).items() if value is not None},
        mounts=tuple(mounts),
        role=role,
    )


def _ports(entry: Mapping[str, Any]) -> list[Port]:
    found = []
    for port in entry.get("ports") or ():
        published = str(port.get("published") or "")
        if published.isdecimal() and port.get("protocol", "tcp") == "tcp":
            found.append(Port(str(port.get("host_ip") or "0.0.0.0"), int(published), int(port["target"])))
    return found


def _seconds(text: Any, default: float) -> float:
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", str(text or ""))
    return sum(float(number) * _UNITS[unit] for number, unit in parts) if parts else default


def mongodb_url(service: Service) -> str | None:
    """What the processes get as MONGODB_URL: the user that the image makes, at the port that is published."""
    port = service.port(27017)
    if port is None:
        return None
    user = service.environment.get("MONGO_INITDB_ROOT_USERNAME", "")
    password = service.environment.get("MONGO_INITDB_ROOT_PASSWORD", "")
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
    return f"mongodb://{login}{reachable(port.host)}:{port.published}/"


def reachable(host: str) -> str:
    """The address by which this machine reaches what is published on `host`."""
    return "127.0.0.1" if host in ("", "0.0.0.0", "::", "localhost") else host


def check_mounts(file: ComposeFile, project: Path) -> None:
    """Raise UsageError for a mounted file that is missing, or a mounted script with the line ends of Windows."""
    for service in file.services:
        for mount in service.mounts:
            if not mount.exists():
                if mount.suffix in _FILE:  # compose would make a folder of that name, and the container fail on it
                    raise UsageError(
                        f"the service {service.name} mounts {mount}, which is not there",
                        "restore the file, or correct `volumes` in the compose file",
                    )
                continue
            for script in _scripts(mount):
                if _has_crlf(script):
                    raise UsageError(
                        f"{_short(script, project)}: has Windows line ends (CRLF), and runs in the container"
                        f" {service.name}, where no shell understands them",
                        "save it with LF; with git: put `*.sh text eol=lf` into .gitattributes and check it out again",
                    )


def _scripts(mount: Path) -> list[Path]:
    if mount.is_file():
        return [mount] if mount.suffix in _SCRIPT else []
    try:
        return [path for _, path in zip(range(_MANY), mount.iterdir(), strict=False) if path.suffix in _SCRIPT]
    except OSError:
        return []


def _has_crlf(script: Path) -> bool:
    try:
        return b"\r\n" in script.read_bytes()[:65536]
    except OSError:
        return False


def _short(path: Path, project: Path) -> str:
    return str(path.relative_to(project)) if path.is_relative_to(project) else str(path)
