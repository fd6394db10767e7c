"""Who provides Temporal and the database: the small interface that all backends share."""

from __future__ import annotations

from typing import Protocol

from launcher.config import Config
from launcher.readiness.temporal import TemporalProbe
from launcher.settings import BACKENDS
from launcher.state import ProjectDir
from launcher.supervisor.unit import Unit


class Backend(Protocol):
    """`preflight` raises UsageError for what can be known before anything starts; `units` are the services to run."""

    name: str

    def preflight(self) -> None: ...
    def units(self) -> list[Unit]: ...
    def urls(self) -> dict[str, str]: ...
    def delete_data(self) -> list[str]:
        """Delete what `down --volumes` promises to; returns what was deleted."""
        ...


def temporal_probe(config: Config) -> TemporalProbe:
    return TemporalProbe(config.text("TEMPORAL_HOST"), config.port("TEMPORAL_PORT"), config.text("TEMPORAL_NAMESPACE"))


def choose(config: Config, folder: ProjectDir) -> tuple[str, str]:
    """The backend's name, and one sentence for people when `auto` had to decide."""
    wanted = config.text("MIKA_BACKEND")
    if wanted != "auto":
        return wanted, ""
    last = folder.last_backend()
    if last in BACKENDS:
        return last, ""
    return "embedded", ""
