"""The backends, which provide Temporal and MongoDB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mika.backends.base import Backend
from mika.config import compose_file
from mika.config.load import Config
from mika.errors import UsageError
from mika.procfile import entries as procfile
from mika.procfile.entries import Entry
from mika.project.folder import ProjectDir

if TYPE_CHECKING:
    from mika.backends.beside import Leftovers


def make(config: Config, folder: ProjectDir, entries: Sequence[Entry] | None = None) -> tuple[Backend, str]:
    """The backend that the configuration asks for, and a sentence about the choice if the user should know about it.

    `entries` are what mika runs, if that is not in a Procfile. Raises UsageError and MikaError if the backend cannot be
    used (a mistake in the compose file, no compose).
    """
    runs = entries if entries is not None else _of_procfile(config)
    name, note = config.text("MIKA_BACKEND"), ""
    if name == "auto":
        from mika.backends.choice import choose

        name, note = choose(config, folder, runs)
    if name == "docker":
        from mika.backends.whole import docker

        return docker(config, folder, runs)
    config = config.for_backend(name)
    temporal = _temporal(name, config, folder)
    if compose_file.file_of(config.project, config.child_env()) is None and not config.names:
        return temporal, note
    from mika.backends.beside import with_services

    return with_services(temporal, config, folder, runs), note


def _of_procfile(config: Config) -> list[Entry]:
    """Whether it is as it should be is checked later."""
    try:
        return procfile.read(config.project / "Procfile")
    except UsageError:
        return []


def _temporal(name: str, config: Config, folder: ProjectDir) -> Backend:
    """Who provides Temporal, if that is not compose. `config` is one `for_backend`, or is only to clean up."""
    match name:
        case "external":
            from mika.backends.external import External

            return External(config)
        case "none":
            from mika.backends.external import Nothing

            return Nothing()
        case _:
            from mika.backends.embedded import Embedded

            return Embedded(config, folder)


def leftovers(config: Config, folder: ProjectDir) -> Leftovers | None:
    """What the backend that ran here last may have left, even if its first start was killed; None: nothing."""
    name, has_record = folder.last_backend(), has_left_containers(folder)
    if not (has_record or folder.has_used_compose() or name == "docker"):
        return None
    from mika.backends.beside import Leftovers

    return Leftovers(config, folder, ran_whole=name in (None, "docker"), has_record=has_record)


def has_left_containers(folder: ProjectDir) -> bool:
    """Whether containers were started here, and were not all taken down yet."""
    from mika.backends.docker.ownership import Ownership

    return Ownership(folder).has_record
