"""`mika up --watch`: which processes a changed file belongs to.

The notification itself, and waiting until a burst of saves is over, is watchfiles' work.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

DEFAULT_PATTERNS = ("**/*.py",)
_BURST_END_MS, _BURST_MAX_MS = 200, 2000
"""A save is over when nothing changed for 0.2 s; a checkout that goes on for longer is cut into steps of 2 s."""
_ALWAYS_IGNORED = (".git/", ".mika/", ".venv/", "__pycache__/", "node_modules/")


async def changes(project: Path, patterns: Mapping[str, Sequence[str]]) -> AsyncIterator[dict[str, list[str]]]:
    """Yield, for each burst of changes, the processes that it concerns with the changed files (relative paths).

    `patterns` are those of each process, in the syntax of .gitignore; what the project's .gitignore names is left out.
    """
    import pathspec
    from watchfiles import awatch

    ignored = pathspec.GitIgnoreSpec.from_lines([*_gitignore(project), *_ALWAYS_IGNORED])
    wanted = {name: pathspec.GitIgnoreSpec.from_lines(lines) for name, lines in patterns.items()}

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
        concerned = {name: [file for file in files if spec.match_file(file)] for name, spec in wanted.items()}
        concerned = {name: matched for name, matched in concerned.items() if matched}
        if concerned:
            yield concerned


def _gitignore(project: Path) -> list[str]:
    try:
        return (project / ".gitignore").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
