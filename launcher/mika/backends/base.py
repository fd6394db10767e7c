"""Who provides Temporal and the database: the small interface that all backends share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mika.config.load import Config
from mika.readiness.temporal import TemporalProbe
from mika.supervisor.unit import Unit


@dataclass(frozen=True, slots=True)
class Left:
    """What `mika down` did with services that outlive a supervisor: `running` were started by somebody else."""

    stopped: tuple[str, ...] = ()
    running: tuple[str, ...] = ()


class Backend:
    """`units` are the services to run. A backend overrides what it has something to say to."""

    name: str

    async def preflight(self, say: Callable[[str], None]) -> None:
        """Raise UsageError or MikaError for what can be known before anything starts. `say` tells what takes long."""

    def units(self) -> list[Unit]:
        raise NotImplementedError

    def urls(self) -> dict[str, str]:
        return {}

    def environment(self) -> dict[str, str]:
        """What the processes get beside the settings."""
        return {}

    def busy_seconds(self) -> float:
        """Time of the start that is no waiting: images that are pulled do not use up `--timeout`."""
        return 0.0

    def on_revived(self, start: Callable[[str], object], has_given_up: Callable[[str], bool]) -> None:
        """`start` is to be called with the name of a unit that has ended and was started again by somebody."""

    async def interrupt(self) -> None:
        """Break off what still starts; the units are stopped afterwards."""

    async def close(self, *, keep: bool) -> None:
        """The units are stopped: clear away what is left. `keep`: `--keep-services` was given."""

    def take_down(self, *, everything: bool) -> Left:
        """End what outlived its supervisor; `everything`: what somebody else started, too."""
        del everything
        return Left()

    def data(self) -> list[str]:
        """The names of what `delete_data` would delete, where they are not plain from the folder."""
        return []

    def delete_data(self) -> list[str]:
        """Delete what `down --volumes` promises to; returns what was deleted."""
        return []


def temporal_probe(config: Config) -> TemporalProbe:
    return TemporalProbe(config.text("TEMPORAL_HOST"), config.port("TEMPORAL_PORT"), config.text("TEMPORAL_NAMESPACE"))
