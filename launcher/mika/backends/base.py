"""The interface of all backends, which provide Temporal and the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mika.frozen import frozen
from mika.reason import Reason

if TYPE_CHECKING:
    from mika.config.load import Config
    from mika.readiness.temporal import TemporalProbe
    from mika.supervisor.unit import Unit


@frozen
class ContainerCleanup:
    """What `mika down` did with containers. Those that are still `running` were started by somebody else."""

    stopped: tuple[str, ...] = ()
    running: tuple[str, ...] = ()


class Backend:
    """`units` are the services to run. A backend overrides only the methods that concern it."""

    name: str
    needed: tuple[str, ...] = ("temporal",)
    """What processes wait for, unless they say otherwise."""
    known: tuple[str, ...] = ()
    """The services of the compose file, also those that are left out."""
    left_out: str = ""
    """Which of them are, and why, in one line."""
    concerns: tuple[Reason, ...] = ()
    """What the user should know about the services: some are missing, or have other passwords than `.env`."""

    async def preflight(self, say: Callable[[str], None]) -> None:
        """Raise UsageError or MikaError for what can be checked before a start. `say` reports what takes long."""

    def units(self) -> list[Unit]:
        raise NotImplementedError

    def urls(self) -> dict[str, str]:
        return {}

    def environment(self) -> dict[str, str]:
        """Variables for the processes, in addition to the settings."""
        return {}

    def allow_long_tasks(self) -> bool:
        """Before the start: give a workflow task 120 s, for debuggers. False where the server is not that of mika."""
        return False

    def busy_seconds(self) -> float:
        """Seconds of the start that do not count towards `--timeout`: those spent on pulling images."""
        return 0.0

    def on_revived(self, start: Callable[[str], object], has_given_up: Callable[[str], bool]) -> None:
        """Call `start` with the name of a unit that has exited and was then started again by somebody else."""

    async def interrupt(self) -> None:
        """Cancel what is still starting; the units are stopped afterwards."""

    async def close(self, *, keep: bool) -> None:
        """Clean up after the units have stopped. `keep`: `--keep-services` was given."""

    def take_down(self, *, everything: bool) -> ContainerCleanup:
        """Stop what has outlived its supervisor; with `everything`, also what others have started."""
        del everything
        return ContainerCleanup()

    def data_names(self) -> list[str]:
        """The names of what `delete_data` would delete outside the project's folder."""
        return []

    def delete_data(self) -> list[str]:
        """Delete the data that is not in the project's folder, for `mika down --volumes`. Returns what was deleted."""
        return []


def temporal_probe(config: Config) -> TemporalProbe:
    """Of a configuration `for_backend`: a server that mika starts needs no login."""
    from mika.config.cluster import address_origin
    from mika.readiness.temporal import TemporalProbe

    return TemporalProbe(
        config.text("TEMPORAL_HOST"),
        config.port("TEMPORAL_PORT"),
        config.text("TEMPORAL_NAMESPACE"),
        config.login(),
        setting=address_origin(config.settings, config.extras),
    )
