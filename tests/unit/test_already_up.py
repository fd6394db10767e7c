"""What a second `mika up` says of the processes that the Procfile has now."""

from __future__ import annotations

import pytest
from mika.cli.up import _other_processes
from mika.status import Phase, UnitStatus
from mika.supervisor.unit import Unit


@pytest.mark.parametrize(
    ("running", "says"),
    [
        ("web worker", ""),
        ("web", "already up, without worker: "),
        ("web worker old", "already up, with old, which the Procfile no longer has: "),
    ],
)
def test_only_its_processes_are_compared(running: str, says: str) -> None:
    names = {"temporal": "service", "web": "process", "worker": "process"}
    units = [Unit(name=name, type=name, role=role) for name, role in names.items()]  # type: ignore[arg-type]
    processes = [UnitStatus(name=name, role="process", type=name, phase=Phase.READY) for name in running.split()]
    said = _other_processes(units, processes)
    assert said.startswith(says)
    assert bool(said) == bool(says)
