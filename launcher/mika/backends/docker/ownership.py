"""Which containers `mika up` has started: those that were already running are not stopped with the stack."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mika.project.folder import ProjectDir, write_private

if TYPE_CHECKING:
    from mika.backends.docker.monitor import ContainerSnapshot


class Ownership:
    """Records which containers are not ours: then those of a run that is killed during `compose up` are still ours."""

    def __init__(self, folder: ProjectDir) -> None:
        self._path: Path = folder.run / "containers.json"
        record = self._read()
        self.has_record = record is not None
        """A run was started here, and its containers were not all taken down yet."""
        self._foreign = {str(container_id) for container_id in (record or {}).get("foreign", ())}
        self._services: frozenset[str] | None = None
        if isinstance(names := (record or {}).get("services"), list):
            self._services = frozenset(map(str, names))

    def begin(self, existing: Iterable[ContainerSnapshot], services: Collection[str]) -> None:
        """Containers of these `services` that appear from now on are ours.

        `existing` ones are not, unless an earlier run started them.
        """
        self._services = frozenset(services) | (self._services or frozenset() if self.has_record else frozenset())
        containers = [container for container in existing if container.service in self._services]
        ids = {container.id for container in containers}
        if self.has_record:
            self._foreign &= ids
        else:  # containers that have exited (the one-shots) belong to whoever started the others
            self._foreign = ids if any(container.is_running for container in containers) else set()
        self.has_record = True

    def save(self) -> None:
        record = {"foreign": sorted(self._foreign), "services": sorted(self._services or ())}
        write_private(self._path, json.dumps(record))

    def forget(self) -> None:
        self.has_record, self._foreign, self._services = False, set(), None
        with contextlib.suppress(OSError):
            self._path.unlink()

    def is_foreign(self, container: ContainerSnapshot | None) -> bool:
        if container is None:
            return False
        is_others = self._services is not None and container.service not in self._services
        return not self.has_record or is_others or container.id in self._foreign

    def _read(self) -> dict[str, Any] | None:
        try:
            record = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) else None
