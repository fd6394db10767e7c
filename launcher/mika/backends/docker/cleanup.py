"""Takes down containers that a supervisor has left running, and deletes their data."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from mika.backends.base import ContainerCleanup
from mika.backends.docker.monitor import list_containers
from mika.backends.docker.ownership import Ownership
from mika.containers import PROJECT_LABEL
from mika.containers.compose import Compose
from mika.errors import MikaError
from mika.wording import Text, _, listed

if TYPE_CHECKING:
    from docker import DockerClient

_DOWN_TIMEOUT = 90.0
_STOP_TIMEOUT = 10  # s


def take_down(
    client: DockerClient, compose: Compose, ownership: Ownership, *, everything: bool, project: str
) -> ContainerCleanup:
    """Stop and remove our containers (with `everything`, all of the project), and the network if none are left."""
    containers = list_containers(client, project)
    ours = [container for container in containers if everything or not ownership.is_foreign(container)]
    foreign = [container for container in containers if container not in ours]
    stopped = [container.service for container in ours if container.is_running]
    # Even without containers: a start that was interrupted may have left a network.
    if (ours or ownership.has_record) and not foreign:
        code, output = compose.run_now(["down", "--remove-orphans"], _DOWN_TIMEOUT)
        if code:
            message = _("`docker compose down` failed: {error}", error=_last_line(output))
            raise MikaError(message, _("run it by hand"), code="not_stopped")
    else:
        for container in ours:
            with contextlib.suppress(Exception):  # it was removed meanwhile
                client.api.stop(container.id, timeout=_STOP_TIMEOUT)
                client.api.remove_container(container.id, force=True)
    ownership.forget()
    return ContainerCleanup(tuple(stopped), tuple(container.service for container in foreign if container.is_running))


def list_volumes(client: DockerClient, project: str) -> list[str]:
    """The names of the project's volumes."""
    answer = client.api.volumes(filters={"label": f"{PROJECT_LABEL}={project}"})
    return sorted(volume["Name"] for volume in answer.get("Volumes") or ())


def delete_volumes(client: DockerClient, compose: Compose, project: str) -> list[str]:
    """Run `docker compose down --volumes`. Returns the names of the deleted volumes. Raises MikaError."""
    before = list_volumes(client, project)
    code, output = compose.run_now(["down", "--volumes", "--remove-orphans"], _DOWN_TIMEOUT)
    remaining = list_volumes(client, project)
    if remaining:
        deleted = [name for name in before if name not in remaining]
        names = listed(remaining)
        text = (
            _("{names} could not be deleted: a container uses it", names=names)
            if "in use" in output
            else _("{names} could not be deleted", names=names)
        )
        if deleted:
            text += _(" (deleted: {names})", names=listed(deleted))
        hint = _("`docker ps -a --filter volume={name}` shows which container uses it", name=remaining[0])
        raise MikaError(text, hint, code="not_deleted")
    if code:
        message = _("`docker compose down --volumes` failed: {error}", error=_last_line(output))
        raise MikaError(message, _("run it by hand"), code="not_deleted")
    return before


def _last_line(output: str) -> str:
    if isinstance(output, Text):  # not what it printed, but mika's own words
        return output
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else _("it printed nothing")
