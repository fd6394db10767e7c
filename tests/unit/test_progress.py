"""What a command shows while it waits."""

from __future__ import annotations

import pytest
from mika.cli.screen.progress import _line
from mika.cli.screen.width import width

LONG = f"stopping {', '.join(f'worker-{number}' for number in range(20))}"


@pytest.mark.parametrize("columns", [1, 5, 14, 40, 79, 300])
def test_what_is_drawn_again_and_again_takes_one_row(columns: int) -> None:
    """A second row would stay: only the last one is erased."""
    assert width(_line(LONG, 12.34, columns)) <= columns


def test_the_seconds_are_seen_however_many_processes_there_are() -> None:
    assert _line(LONG, 12.34, 40) == "stopping worker-0, worker-1, w… … 12.3 s"
    assert _line("stopping web", 0.4, 40) == "stopping web … 0.4 s"
