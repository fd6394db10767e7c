"""Which files compose takes for the project's compose file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")  # in compose's own order
_OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
_VARIABLE = "COMPOSE_FILE"


def file_of(project: Path, env: Mapping[str, str]) -> str | None:
    """The name of the compose file. Compose itself also searches the parent folders, and may take another project's.

    A name that differs only by case (`Docker-Compose.yml`) counts, too: on Windows and macOS, compose finds that one.
    """
    if given := env.get(_VARIABLE):
        return given
    if name := next((name for name in NAMES if (project / name).is_file()), None):
        return name
    try:
        by_name = {path.name.lower(): path.name for path in project.iterdir()}
    except OSError:
        return None
    return next((by_name[name] for name in NAMES if name in by_name), None)


def override_of(project: Path, env: Mapping[str, str]) -> str | None:
    """The file that compose merges into its own choice of a file."""
    if env.get(_VARIABLE):
        return None
    return next((name for name in _OVERRIDES if (project / name).is_file()), None)


def paths(project: Path, env: Mapping[str, str]) -> list[Path]:
    """All of its files, in the order in which they are merged; empty if there is none."""
    name = file_of(project, env)
    if name is None:
        return []
    if env.get(_VARIABLE):
        return [project / part for part in name.split(env.get("COMPOSE_PATH_SEPARATOR") or os.pathsep) if part]
    override = override_of(project, env)
    return [project / part for part in (name, override) if part]


def environment(project: Path, env: Mapping[str, str]) -> dict[str, str]:
    """`env`, so that compose takes the same file."""
    name = file_of(project, env)
    if name is None or name in NAMES or env.get(_VARIABLE):
        return dict(env)
    return {**env, _VARIABLE: os.pathsep.join(filter(None, (name, override_of(project, env))))}
