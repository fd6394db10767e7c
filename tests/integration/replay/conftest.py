"""A live worker with open runs, on a server of its own: once for each module that needs it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.replay.live import TYPES, Live, live_worker


@pytest.fixture(scope="module")
def _shared_live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_worker(tmp_path_factory, TYPES) as live:
        yield live


@pytest.fixture
def live(_shared_live: Live) -> Live:
    return _shared_live
