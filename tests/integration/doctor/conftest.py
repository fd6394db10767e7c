"""The stack by hand, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.terminals import Hand


@pytest.fixture(scope="package")
def _shared_terminals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hand]:
    with Hand(tmp_path_factory.mktemp("hand")) as hand:
        hand.temporal()
        yield hand


@pytest.fixture
def hand(_shared_terminals: Hand) -> Hand:
    """The three terminals, all well. They are shared: a test may break them."""
    _shared_terminals.mend()
    return _shared_terminals


@pytest.fixture
def server(_shared_terminals: Hand) -> Hand:
    """The same, of which only the server is sure to run: an API and a worker take 3 s of CPU."""
    _shared_terminals.mend("api", "worker")
    return _shared_terminals
