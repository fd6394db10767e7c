"""Take containers down that no supervisor stops any more, and delete the data."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from mika.backends.base import Left
from mika.backends.docker.monitor import look
from mika.backends.docker.ownership import Ownership
from mika.containers import PROJECT
from mika.containers.compose import Compose
from mika.errors import MikaError

if TYPE_CHECKING:
    from docker import DockerClient

_DOWN_TIMEOUT = 90.0
_STOP = 10  # s


def take_down(client: DockerClient, compose: Compose, owned: Ownership, *, everything: bool, project: str) -> Left:
    """Stop and remove our containers (all of the project with `everything`), and its network when none is left."""
    containers = [seen for _, seen in look(client, project, {}, set())]
    ours = [seen for seen in containers if everything or not owned.is_foreign(seen)]
    others = [seen for seen in containers if seen not in ours]
    stopped = [seen.service for seen in ours if seen.runs]
    if (ours or owned.known) and not others:  # a start that was broken off may have left a network alone
        code, output = compose.run_now(["down", "--remove-orphans"], _DOWN_TIMEOUT)
        if code:
            raise MikaError(f"`docker compose down` failed: {_last(output)}", "try it by hand", code="not_stopped")
    else:
        for seen in ours:
            with contextlib.suppress(Exception):  # it was removed meanwhile
                client.api.stop(seen.id, timeout=_STOP)
                client.api.remove_container(seen.id, force=True)
    owned.forget()
    return Left(tuple(stopped), tuple(seen.service for seen in others if seen.runs))


def volumes(client: DockerClient, project: str) -> list[str]:
    """Their names."""
    found = client.api.volumes(filters={"label": f"{PROJECT}={project}"})
    return sorted(volume["Name"] for volume in found.get("Volumes") or ())


def delete_volumes(client: DockerClient, compose: Compose, project: str) -> list[str]:
    """`docker compose down --volumes`; returns the names of the volumes that are gone."""
    before = volumes(client, project)
    code, output = compose.run_now(["down", "--volumes", "--remove-orphans"], _DOWN_TIMEOUT)
    left = volumes(client, project)
    if left:
        gone = [name for name in before if name not in left]
        raise MikaError(
            f"{', '.join(left)} could not be deleted{': a container uses it' if 'in use' in output else ''}"
            + (f" (deleted: {', '.join(gone)})" if gone else ""),
            f"`docker ps -a --filter volume={left[0]}` says which container has it",
            code="not_deleted",
        )
    if code:
        raise MikaError(
            f"`docker compose down --volumes` failed: {_last(output)}", "try it by hand", code="not_deleted"
        )
    return before


def _last(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "it says nothing"
