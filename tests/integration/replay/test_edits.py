"""The check's answer to each edit of a workflow is what a real worker then does with the same open runs.

Each edit meets runs of the types that it concerns, and each third that breaks one meets one of another type;
`python -m tests.replay` tries each with all.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.bot_processes import TemporalServer
from tests.kit.machine import takes_long
from tests.kit.replay.edits import EDITS, Edit
from tests.kit.replay.judging import faults
from tests.kit.replay.world import World, some_types

pytestmark = [takes_long, pytest.mark.timeout(240)]  # the first one opens the runs of all
HALVES = (EDITS[::2], EDITS[1::2])  # for two workers of pytest-xdist


@pytest.fixture(scope="module")
def _shared_first_half(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from _world(tmp_path_factory, HALVES[0])


@pytest.fixture(scope="module")
def _shared_second_half(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from _world(tmp_path_factory, HALVES[1])


def _world(tmp_path_factory: pytest.TempPathFactory, edits: tuple[Edit, ...]) -> Iterator[World]:
    with (
        TemporalServer(tmp_path_factory.mktemp("server"), in_memory=True) as server,
        World(server, tmp_path_factory.mktemp("edits"), edits, some_types) as world,
    ):
        yield world


@pytest.mark.parametrize("edit", HALVES[0], ids=lambda edit: edit.name)
def test_the_check_is_right_about_an_edit(_shared_first_half: World, edit: Edit):  # noqa: PT019
    assert not faults(_shared_first_half, edit)


@pytest.mark.parametrize("edit", HALVES[1], ids=lambda edit: edit.name)
def test_the_check_is_right_about_another_edit(_shared_second_half: World, edit: Edit):  # noqa: PT019
    assert not faults(_shared_second_half, edit)
