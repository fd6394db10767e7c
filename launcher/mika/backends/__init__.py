"""The backends, which provide Temporal and MongoDB."""

from __future__ import annotations

from mika.backends.base import Backend
from mika.config.load import Config
from mika.project.folder import ProjectDir


def make(config: Config, folder: ProjectDir) -> tuple[Backend, str]:
    """The backend that the configuration asks for, and a sentence about the choice if the user should know about it.

    Raises UsageError and MikaError if it cannot be used (a mistake in the compose file, no compose).
    """
    name = config.text("MIKA_BACKEND")
    if name != "auto":
        return by_name(name, config, folder), ""
    from mika.backends.choice import choose

    name, note = choose(config, folder)
    return by_name(name, config, folder), note


def by_name(name: str, config: Config, folder: ProjectDir) -> Backend:
    config = config.for_backend(name)
    match name:
        case "docker":
            from mika.backends.docker.backend import Docker

            return Docker(config, folder)
        case "external":
            from mika.backends.external import External

            return External(config)
        case "none":
            from mika.backends.external import Nothing

            return Nothing()
        case _:
            from mika.backends.embedded import Embedded

            return Embedded(config, folder)


def last_used(config: Config, folder: ProjectDir) -> Backend | None:
    """The backend that ran here last and may have left something, even if its first start was killed."""
    name = "docker" if has_left_containers(folder) else folder.last_backend()
    return by_name(name, config, folder) if name else None


def has_left_containers(folder: ProjectDir) -> bool:
    """Whether the docker backend was started here and its containers were not all taken down yet."""
    from mika.backends.docker.ownership import Ownership

    return Ownership(folder).has_record
