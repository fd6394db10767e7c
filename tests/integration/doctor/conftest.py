"""The stack by hand, for the tests of this folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from temporalio.client import Client

from tests.kit.terminals import Hand


@pytest.fixture(scope="package")
def _shared_terminals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hand]:
    with Hand(tmp_path_factory.mktemp("hand")) as hand:
        hand.temporal()
        yield hand


@pytest.fixture
def hand(_shared_terminals: Hand) -> Hand:
    """The three terminals, all well. They are shared: a test may break them, and leaves no workflow that runs."""
    if "temporal" not in _shared_terminals.terminals:
        _shared_terminals.temporal()
    for name in ("api", "worker"):
        if name not in _shared_terminals.terminals:
            getattr(_shared_terminals, name)()

    async def end_all(client: Client) -> None:
        async for execution in client.list_workflows("ExecutionStatus = 'Running'"):
            with contextlib.suppress(Exception):
                await client.get_workflow_handle(execution.id).terminate("the test before")

    _shared_terminals.ask(end_all)
    return _shared_terminals
