"""Who provides Temporal and MongoDB."""

from __future__ import annotations

from mika.backends.base import Backend
from mika.config.load import Config
from mika.project.folder import ProjectDir


def make(config: Config, folder: ProjectDir) -> tuple[Backend, str]:
    """The backend that the configuration asks for, and a sentence about the choice where there is one to tell.

    Raises UsageError and MikaError where it cannot be used (a compose file with a mistake, no compose).
    """
    name = config.text("MIKA_BACKEND")
    if name != "auto":
        return by_name(name, config, folder), ""
    from mika.backends.choice import choose

    name, why = choose(config, folder)
    return by_name(name, config, folder), why


def by_name(name: str, config: Config, folder: ProjectDir) -> Backend:
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
    """What ran here last and may have left something: also a first start that was killed, which is not remembered."""
    name = "docker" if left_containers(folder) else folder.last_backend()
    return by_name(name, config, folder) if name else None


def left_containers(folder: ProjectDir) -> bool:
    """Whether a run on the docker backend began here, and its containers were not all taken down yet."""
    from mika.backends.docker.ownership import Ownership

    return Ownership(folder).known
