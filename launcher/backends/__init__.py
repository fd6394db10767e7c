"""Who provides Temporal and MongoDB."""

from __future__ import annotations

from launcher.backends.base import Backend, choose
from launcher.config import Config
from launcher.errors import UsageError
from launcher.state import ProjectDir


def make(config: Config, folder: ProjectDir) -> tuple[Backend, str]:
    """The backend that the configuration asks for, and a sentence about the choice where there is one to tell."""
    name, why = choose(config, folder)
    match name:
        case "embedded":
            from launcher.backends.embedded import Embedded

            return Embedded(config, folder), why
        case "external":
            from launcher.backends.external import External

            return External(config), why
        case "none":
            from launcher.backends.external import Nothing

            return Nothing(), why
    raise UsageError(
        "the docker backend is not in this version",
        "use `--backend embedded`, or `docker compose up` and `--backend external`",
    )
