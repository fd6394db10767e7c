"""Whose is it: a compose project of the same name in another folder, or a port that somebody has."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mika.backends.docker.monitor import Seen
from mika.containers import FOLDER, PROJECT
from mika.errors import UsageError
from mika.machine import ports

if TYPE_CHECKING:
    from docker import DockerClient


def check_project(project: str, containers: Iterable[Seen], folder: Path) -> None:
    """Raise UsageError when containers of this project's name belong to another folder, which still exists.

    Compose names a project by its folder's last part, and would take the other one's containers for its own.
    """
    for seen in containers:
        other = Path(seen.folder) if seen.folder else folder
        if _same(other, folder) or not other.is_dir():
            continue
        raise UsageError(
            f"the compose project '{project}' is in use by {other} (container {seen.name})",
            "set COMPOSE_PROJECT_NAME=another-name in .env of this folder, or take that stack down",
            code="project_taken",
        )


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return os.path.normcase(one) == os.path.normcase(other)


def of_port(client: DockerClient, port: int, project: str) -> str:
    """Who listens there: a container with its project and folder, else a program. The engine's proxy is no answer."""
    for entry in client.api.containers():
        if any(found.get("PublicPort") == port for found in entry.get("Ports") or ()):
            name, labels = entry["Names"][0].lstrip("/"), entry["Labels"]
            other = labels.get(PROJECT)
            if not other:
                return f"the container {name}"
            whose = "this project" if other == project else f"the project '{other}' in {labels.get(FOLDER, '?')}"
            return f"the container {name} of {whose}"
    return ports.describe_listener(ports.find_listener("0.0.0.0", port))
