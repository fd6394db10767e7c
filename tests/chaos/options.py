"""What is chosen for one run of chaos, and how patient it is."""

from __future__ import annotations

from dataclasses import dataclass

PATIENCE = 240.0  # s for one message: three run time-outs; an ordinary one needs 0.1 s
RECOVERY = 90.0  # s until what was killed is ready again


@dataclass(frozen=True)
class Options:
    kills: int
    seed: int
    senders: int = 4
    task_timeout: float | None = None
