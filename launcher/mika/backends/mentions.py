"""Does anything in a project say that it uses Temporal? Files are only read, never run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mika.config import compose_file
from mika.config.cluster import LOGIN
from mika.config.load import Config
from mika.detect.files import LARGEST, Files
from mika.text import decoded

_SETTINGS = ("TEMPORAL_HOST", "TEMPORAL_PORT", "TEMPORAL_NAMESPACE", "TEMPORAL_TASK_QUEUE", *LOGIN)
# The SDKs by the names under which package managers know them.
_DEPENDENCY = re.compile(rb"temporalio\b|go\.temporal\.io/sdk|@temporalio/|io\.temporal|temporal-sdk", re.IGNORECASE)
_MANIFESTS = ("pyproject.toml", "Pipfile", "setup.py", "setup.cfg", "package.json", "go.mod", "pom.xml", "Gemfile")
_MANIFEST_PATTERNS = ("requirements*.txt", "*.gradle", "*.gradle.kts", "*.csproj", "composer.json")
_IMPORT = re.compile(rb"^[ \t]*(from|import)[ \t]+temporalio\b", re.MULTILINE)


def mentions_temporal(config: Config) -> bool:
    """In its configuration, its environment, its dependencies, its compose file or its Python sources."""
    env = config.child_env()
    if config.declarations:
        return True
    if any(config.settings[name].origin != "default" for name in _SETTINGS):
        return True
    if any(config.ready_rule(name).kind == "worker" for name in config.processes):
        return True
    folders = {config.project, *(config.project / o.cwd for o in config.processes.values() if o.cwd)}
    if any(_DEPENDENCY.search(_read(path)) for folder in folders for path in _manifests(folder)):
        return True
    if any(b"temporal" in _read(path).lower() for path in compose_file.paths(config.project, env)):
        return True
    return any(_IMPORT.search(files.read(path)) for files in map(Files, folders) for path in files.python)


def _manifests(folder: Path) -> Iterator[Path]:
    yield from (folder / name for name in _MANIFESTS)
    for pattern in _MANIFEST_PATTERNS:
        yield from folder.glob(pattern)


def _read(path: Path) -> bytes:
    try:
        return decoded(path.read_bytes()).encode() if path.stat().st_size <= LARGEST else b""
    except OSError:
        return b""
