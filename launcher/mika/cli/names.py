"""The names that a shell completes: processes, services, logs, and the words of `mika open` and `mika help`."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import click

from mika.project import logs
from mika.project.folder import ProjectDir
from mika.text import decoded

Complete = Callable[[click.Context, click.Parameter, str], list[str]]

_ENTRY = re.compile(r"^([A-Za-z0-9_.-]+)\s*:", re.MULTILINE)


def names(*words: str) -> Complete:
    """Completes what has a line in the Procfile or a log, and `words`."""
    return lambda context, _, begun: _beginning_with(begun, [*_known(_project(context)), *words])


def of_processes(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Completes what has a line in the Procfile."""
    return _beginning_with(begun, written(_project(context)))


def of_help(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Completes commands and topics."""
    from mika.cli.topics import TOPICS

    root = context.find_root()
    commands = root.command.list_commands(root) if isinstance(root.command, click.Group) else []
    return _beginning_with(begun, [*commands, *TOPICS])


def _project(context: click.Context) -> Path:
    """While a shell completes, no command has run that would know it."""
    from mika.config.search import find_project

    given = context.find_root().params.get("project")
    return Path(given) if given else find_project(Path.cwd())


def written(project: Path) -> list[str]:
    """What has a line in the Procfile, even if that has a mistake."""
    with contextlib.suppress(OSError):
        return _ENTRY.findall(decoded((project / "Procfile").read_bytes()))
    return []


def _known(project: Path) -> Sequence[str]:
    return [*written(project), *(name for name in logs.names(ProjectDir(project).logs) if name != logs.EVENT_LOG)]


def _beginning_with(begun: str, words: Iterable[str]) -> list[str]:
    return sorted({word for word in words if word.startswith(begun)})
