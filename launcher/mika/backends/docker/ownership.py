"""Which containers are `mika up`'s own: what it found running is left alone when it ends, unless told otherwise."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mika.backends.docker.monitor import Seen
from mika.project.folder import ProjectDir, write_private


class Ownership:
    """Remembers the others, not ours: so a run that is killed while compose works leaves nothing unowned."""

    def __init__(self, folder: ProjectDir) -> None:
        self._path: Path = folder.run / "containers.json"
        found = self._read()
        self.known = found is not None
        """A run began here and its containers were not all taken down yet."""
        self.project = str((found or {}).get("project", ""))
        self._foreign = {str(one) for one in (found or {}).get("foreign", ())}

    def begin(self, there: Iterable[Seen]) -> None:
        """From now on what appears is ours; what runs is not, unless an earlier run has started it."""
        containers = list(there)
        ids = {seen.id for seen in containers}
        if self.known:
            self._foreign &= ids
        else:  # what has ended (the one-shots) belongs to whoever started the rest
            self._foreign = ids if any(seen.runs for seen in containers) else set()
        self.known = True

    def remember(self, project: str) -> None:
        self.project = project
        write_private(self._path, json.dumps({"project": project, "foreign": sorted(self._foreign)}))

    def forget(self) -> None:
        self.known, self._foreign = False, set()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def is_foreign(self, seen: Seen | None) -> bool:
        return seen is not None and (not self.known or seen.id in self._foreign)

    def _read(self) -> dict[str, Any] | None:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None
