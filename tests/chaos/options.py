"""What is chosen for one run of chaos, and how patient it is."""

from __future__ import annotations

from dataclasses import dataclass

PATIENCE = 240.0  # s for one message: three run timeouts; an ordinary one needs 0.1 s
RECOVERY = 90.0  # s until what was killed is ready again

# What may happen, by kind, and how often each is chosen. Of the first kind, "stopped" is SIGSTOP, which hangs; all
# others are SIGKILL.
FAULTS = {
    "kill": {
        "worker": 9,
        "api": 6,
        "temporal": 5,
        "supervisor": 4,
        "worker stopped": 1,
        "guard of worker": 1,
        "supervisor and guards": 1,
    },
    "stop-guard": {"suspended guard of worker": 1, "suspended guard of api": 1, "suspended guard of temporal": 1},
    "disk": {"full disk": 2},
    "files": {"no descriptors": 2},
    "clock": {"clock set": 2},
}


@dataclass(frozen=True)
class Options:
    kills: int
    seed: int
    senders: int = 4
    task_timeout: float | None = None
    faults: tuple[str, ...] = ("kill",)  # of FAULTS
    pause: float = 2.0  # s between two commands that only ask

    @property
    def weights(self) -> dict[str, int]:
        return {target: weight for kind in self.faults for target, weight in FAULTS[kind].items()}
