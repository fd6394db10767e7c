"""`mika up --watch`: find out which processes to restart when files change.

watchfiles reports the changes, and waits until a burst of them is over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

DEFAULT_PATTERNS = ("**/*.py",)
_BURST_END_MS, _BURST_MAX_MS = 200, 2000
"""A burst is over when nothing has changed for 0.2 s. A longer one (a checkout) is reported every 2 s."""
_ALWAYS_IGNORED = (".git/", ".mika/", ".venv/", "__pycache__/", "node_modules/")


LOOP_CHANGES, LOOP_WINDOW = 5, 10.0
"""So many changes of one file in so many seconds are those of a program: nobody saves that often."""
LOOP_PAUSE = 60.0
"""Seconds for which such a file is ignored."""


async def changes(project: Path, patterns: Mapping[str, Sequence[str]]) -> AsyncIterator[dict[str, list[str]]]:
    """Yield, for each burst of changes, the names of the affected processes with their changed files (relative paths).

    `patterns` maps the name of each process to patterns in .gitignore syntax. Files that the project's own .gitignore
    matches are skipped.
    """
    import pathspec
    from watchfiles import awatch

    ignored = pathspec.GitIgnoreSpec.from_lines([*_gitignore(project), *_ALWAYS_IGNORED])
    specs = {name: pathspec.GitIgnoreSpec.from_lines(lines) for name, lines in patterns.items()}

    def relative(path: str) -> str | None:
        try:
            name = Path(path).relative_to(project).as_posix()
        except ValueError:
            return None
        return None if ignored.match_file(name) else name

    async for burst in awatch(
        project, watch_filter=None, debounce=_BURST_MAX_MS, step=_BURST_END_MS, ignore_permission_denied=True
    ):
        files = sorted({name for _, path in burst if (name := relative(path)) is not None})
        affected = {name: [file for file in files if spec.match_file(file)] for name, spec in specs.items()}
        affected = {name: matched for name, matched in affected.items() if matched}
        if affected:
            yield affected


class WriteLoops:
    """Notices a process that writes, at each of its starts, a file that it watches. Otherwise it would never settle."""

    def __init__(self) -> None:
        self._changes: dict[tuple[str, str], list[float]] = {}
        self._ignored_until: dict[tuple[str, str], float] = {}

    def skip(self, name: str, files: Sequence[str], now: float) -> tuple[list[str], list[str]]:
        """The files for which `name` is to be restarted, and those for which it has been restarted too often just now.

        A file of the second kind is ignored for LOOP_PAUSE seconds, and only then named again.
        """
        wanted, looping = [], []
        for file in files:
            key = (name, file)
            if now < self._ignored_until.get(key, now):
                continue
            times = [time for time in self._changes.get(key, []) if now - time < LOOP_WINDOW] + [now]
            self._changes[key] = times
            if len(times) < LOOP_CHANGES:
                wanted.append(file)
                continue
            looping.append(file)
            self._ignored_until[key] = now + LOOP_PAUSE
            del self._changes[key]
        return wanted, looping


def _gitignore(project: Path) -> list[str]:
    try:
        return (project / ".gitignore").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
