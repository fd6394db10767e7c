"""`mika up --watch`: which processes a changed file concerns."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mika.detect.imports import ImportGraph
from mika.replay.check import spec_of
from mika.supervisor.managed import Managed
from mika.supervisor.unit import Unit

_NOT_SEARCHED = ("node_modules", "__pycache__")


class Concerned:
    """What each process has imported, as far as that is known; otherwise its patterns alone decide."""

    def __init__(self, project: Path, managed: Mapping[str, Managed]) -> None:
        self._project, self._managed = project, managed
        self._graph = ImportGraph(project)
        self._reach: dict[str, frozenset[Path] | None] = {}
        self._reported: dict[str, tuple[Path, ...]] = {}
        self._known: set[str] = set()
        self.is_stale = False
        """Files have changed since the imports were read."""

    async def look(self) -> None:
        """Find out what is there, and what imports what. Without it, everything is concerned."""
        self._known = await asyncio.to_thread(_python_files, self._project)
        await self.refresh()

    async def refresh(self) -> None:
        """Read again what has changed in the imports."""
        units = {m.unit.type: m.unit for m in self._managed.values() if m.unit.watches_imports}
        self.is_stale = False
        try:
            self._reach = await asyncio.to_thread(lambda: {name: self._reach_of(unit) for name, unit in units.items()})
        except OSError:  # a folder that may not be read
            self._reach = {}

    def report(self, process_type: str, files: Sequence[str]) -> None:
        """Its own program says that it has imported these files."""
        real = os.path.realpath(self._project)
        own = [os.path.relpath(file, real) for file in files if file.startswith(real + os.sep)]
        if own:
            self._reported[process_type] = tuple(self._project / file for file in own)

    def by_process(self, files: Sequence[str]) -> dict[str, list[str]]:
        """The names of the processes that are concerned, each with the files that concern it."""
        import pathspec

        present = {file for file in files if (self._project / file).exists()}
        fresh = {file for file in present if file.endswith(".py")} - self._known
        concerned: dict[str, list[str]] = {}
        for name, managed in self._managed.items():
            unit = managed.unit
            patterns = pathspec.GitIgnoreSpec.from_lines(unit.watch)
            own = [f for f in files if patterns.match_file(f) and (f in fresh or self._may_import(unit, f))]
            if own:
                concerned[name] = own
        self._known = (self._known - set(files)) | {file for file in present if file.endswith(".py")}
        self.is_stale = True
        return concerned

    def _may_import(self, unit: Unit, file: str) -> bool:
        reach = self._reach.get(unit.type) if unit.watches_imports and file.endswith(".py") else None
        return reach is None or self._project / file in reach

    def _reach_of(self, unit: Unit) -> frozenset[Path] | None:
        spec = spec_of(unit)
        if spec is None:
            return None
        return self._graph.reach(spec.command, spec.cwd, spec.env, self._reported.get(unit.type, ()))


def _python_files(project: Path) -> set[str]:
    found: set[str] = set()
    for folder, folders, files in os.walk(project):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _NOT_SEARCHED]
        at = Path(folder).relative_to(project)
        found.update((at / file).as_posix() for file in files if file.endswith(".py"))
    return found
