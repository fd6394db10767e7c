"""What mika has made on a server of this project: in `.mika/data`, beside the embedded server's own data."""

from __future__ import annotations

import json
from dataclasses import asdict

from mika.frozen import frozen
from mika.project.folder import DECLARED, ProjectDir, write_private


@frozen
class Made:
    """`declared`: what was declared when it was made. `content`: what the server had then; empty: not known."""

    declared: str
    content: str


Key = tuple[str, str, str]
"""The noun of its kind, its namespace and its name."""


class Record:
    """One backend has one server, so there is one file for each."""

    def __init__(self, folder: ProjectDir, backend: str) -> None:
        self._path = folder.data / DECLARED.replace("*", backend)
        self.made: dict[Key, Made] = {}
        try:
            for entry in json.loads(self._path.read_text(encoding="utf-8")):
                key = (str(entry["kind"]), str(entry["namespace"]), str(entry["name"]))
                self.made[key] = Made(str(entry["declared"]), str(entry["content"]))
        except (OSError, ValueError, KeyError, TypeError):
            pass  # it does not exist, or is damaged: then nothing there counts as mika's

    def get(self, key: Key) -> Made | None:
        return self.made.get(key)

    def put(self, key: Key, made: Made | None) -> None:
        """None: mika has not made it. Raises OSError."""
        self.made.pop(key, None)
        if made is not None:
            self.made[key] = made
        entries = [
            {"kind": kind, "namespace": namespace, "name": name, **asdict(made)}
            for (kind, namespace, name), made in self.made.items()
        ]
        write_private(self._path, json.dumps(entries, indent=1, ensure_ascii=False))


def forget(folder: ProjectDir) -> None:
    """After the data of the servers was deleted."""
    for path in folder.data.glob(DECLARED):
        path.unlink(missing_ok=True)
