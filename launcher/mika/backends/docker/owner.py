"""Who uses it: another folder's compose project of the same name, or the program behind a port."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mika.backends.docker.monitor import ContainerSnapshot
from mika.containers import FOLDER_LABEL, PROJECT_LABEL
from mika.errors import UsageError
from mika.machine import ports
from mika.wording import _

if TYPE_CHECKING:
    from docker import DockerClient


def check_project(project: str, containers: Iterable[ContainerSnapshot], folder: Path) -> None:
    """Raise UsageError if containers of this project name belong to another folder, which still exists.

    Compose names a project after the last part of its folder, so it would treat the other folder's containers as ours.
    """
    for container in containers:
        other = Path(container.folder) if container.folder else folder
        if _is_same_folder(other, folder) or not other.is_dir():
            continue
        raise UsageError(
            _(
                "the compose project '{project}' is in use by {folder} (container {name})",
                project=project,
                folder=other,
                name=container.name,
            ),
            _("set COMPOSE_PROJECT_NAME=another-name in .env of this folder, or take that stack down"),
            code="project_taken",
        )


def _is_same_folder(first: Path, second: Path) -> bool:
    try:
        return first.samefile(second)
    except OSError:
        return os.path.normcase(first) == os.path.normcase(second)


def of_port(client: DockerClient, port: int, project: str) -> str:
    """Who listens on `port`, for a sentence: a container with its project and folder, or else a program.

    A container first: the OS would only name the engine's proxy.
    """
    for entry in client.api.containers():
        if any(published.get("PublicPort") == port for published in entry.get("Ports") or ()):
            name, labels = entry["Names"][0].lstrip("/"), entry["Labels"]
            owner = labels.get(PROJECT_LABEL)
            if not owner:
                return _("the container {name}", name=name)
            if owner == project:
                return _("the container {name} of this project", name=name)
            return _(
                "the container {name} of the project '{project}' in {folder}",
                name=name,
                project=owner,
                folder=labels.get(FOLDER_LABEL, "?"),
            )
    return ports.describe_listener(ports.find_listener("0.0.0.0", port))
