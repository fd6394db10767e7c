"""Temporal was started by somebody else: it is watched, but never started or stopped."""

from __future__ import annotations

from mika.backends.base import Backend, temporal_probe
from mika.config.load import Config
from mika.readiness.ladder import Rung
from mika.supervisor.unit import Launch, Unit
from mika.supervisor.watch import Liveness


class External(Backend):
    """A Temporal server at TEMPORAL_HOST:TEMPORAL_PORT."""

    name = "external"

    def __init__(self, config: Config) -> None:
        self._probe = temporal_probe(config)
        self._queue = config.text("TEMPORAL_TASK_QUEUE")

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


class Nothing(Backend):
    """Only the processes of the Procfile."""

    name = "none"
    needed = ()

    def units(self) -> list[Unit]:
        return []
