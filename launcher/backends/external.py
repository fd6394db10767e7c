"""Temporal is already there, started by somebody else: it is watched, never started and never stopped."""

from __future__ import annotations

from launcher.backends.base import temporal_probe
from launcher.config import Config
from launcher.readiness.ladder import Rung
from launcher.supervisor.unit import Launch, Unit
from launcher.supervisor.watch import Liveness


class External:
    """A Temporal server at TEMPORAL_HOST:TEMPORAL_PORT."""

    name = "external"

    def __init__(self, config: Config) -> None:
        self._probe = temporal_probe(config)
        self._queue = config.text("TEMPORAL_TASK_QUEUE")

    def preflight(self) -> None:
        """Nothing can be known before it is asked."""

    def units(self) -> list[Unit]:
        def probes(launch: Launch) -> tuple[list[Rung], Liveness | None]:
            del launch
            alive = Liveness(self._probe.alive, interval=2.0, patience=None)
            return self._probe.rungs(self._queue), alive

        return [
            Unit(
                name="temporal",
                type="temporal",
                role="service",
                kind="external",
                address=self._probe.address,
                probes=probes,
            )
        ]

    def urls(self) -> dict[str, str]:
        return {}

    def delete_data(self) -> list[str]:
        """Not ours to delete."""
        return []


class Nothing:
    """Only the processes of the Procfile."""

    name = "none"

    def preflight(self) -> None:
        """No service, no port."""

    def units(self) -> list[Unit]:
        return []

    def urls(self) -> dict[str, str]:
        return {}

    def delete_data(self) -> list[str]:
        return []
