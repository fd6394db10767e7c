"""`mika up --watch`: the files of a project that change, in bursts, and the loops that a program's own files make.

watchfiles reports the changes, and waits until a burst of them is over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from mika.frozen import frozen

DEFAULT_PATTERNS = ("**/*.py", "**/prompts/**")
SETTINGS = (".env", "mika.toml", "pyproject.toml", "Procfile")
"""What says how the processes are run. They are watched also if git ignores them, as it should ignore `.env`."""
_BURST_END_MS, _BURST_MAX_MS = 10, 2000
"""A burst is over when nothing has changed for 10 ms. A longer one (a checkout) is reported every 2 s."""
_SETTLE, _SETTLE_AGAIN = 0.1, 0.5
_SOON = 2.0
_ALWAYS_IGNORED = (".git/", ".mika/", ".venv/", "__pycache__/", "node_modules/")


LOOP_CHANGES, LOOP_WINDOW = 5, 10.0
"""So many changes of one file, each after another start, in so many seconds are those of a program."""
LOOP_PAUSE = 60.0
"""Seconds for which such a file is ignored."""


@frozen
class Burst:
    """Changed files, relative to the project; `settings` are those of SETTINGS."""

    files: tuple[str, ...]
    settings: tuple[str, ...]


async def changes(project: Path) -> AsyncIterator[Burst]:
    """Yield each burst of changes. Files that the project's own .gitignore matches are skipped."""
    import pathspec
    from watchfiles import awatch

    ignored = pathspec.GitIgnoreSpec.from_lines([*_gitignore(project), *_ALWAYS_IGNORED])

    def relative(path: str) -> str | None:
        try:
            return Path(path).relative_to(project).as_posix()
        except ValueError:
            return None

    async for burst in awatch(
        project, watch_filter=None, debounce=_BURST_MAX_MS, step=_BURST_END_MS, ignore_permission_denied=True
    ):
        names = sorted({name for _, path in burst if (name := relative(path)) is not None})
        settings = tuple(name for name in names if name in SETTINGS)
        files = tuple(name for name in names if name not in SETTINGS and not ignored.match_file(name))
        if files or settings:
            yield Burst(files, settings)


def settled_at(last: float, now: float) -> float:
    """When no more changes belong to those of `now`: what is to be restarted stops until then, and no more.

    `last` is what this returned for the change before. Whoever saves again so soon goes on doing that.
    """
    return now + (_SETTLE_AGAIN if now - last < _SOON else _SETTLE)


class WriteLoops:
    """Notices a process that writes, at each of its starts, a file that it watches. Otherwise it would never settle."""

    def __init__(self) -> None:
        self._changes: dict[tuple[str, str], list[float]] = {}
        self._ignored_until: dict[tuple[str, str], float] = {}
        self._counted: dict[tuple[str, str], int] = {}

    def skip(self, name: str, files: Sequence[str], now: float, start: int) -> tuple[list[str], list[str]]:
        """The files for which `name` is to be restarted, and those for which it has been restarted too often just now.

        A file of the second kind is ignored for LOOP_PAUSE seconds, and only then named again. `start` is the number of
        starts so far: of the changes since the same start, one counts, since somebody may save often.
        """
        wanted, looping = [], []
        for file in files:
            key = (name, file)
            if now < self._ignored_until.get(key, now):
                continue
            if self._counted.get(key) == start:
                wanted.append(file)
                continue
            self._counted[key] = start
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
        return (project / ".gitignore").read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError:
        return []
