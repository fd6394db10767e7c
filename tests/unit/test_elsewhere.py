"""Where a worker is connected to that does not poll."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from mika.stack import elsewhere
from mika.stack.elsewhere import Elsewhere


@pytest.mark.parametrize(
    ("peers", "named"),
    [
        ({("203.0.113.80", 443)}, ""),  # where `go run` gets its modules
        ({("203.0.113.80", 443), ("203.0.113.9", 7233)}, "203.0.113.9:7233"),
        ({("203.0.113.80", 443), ("127.0.0.1", 7300)}, "127.0.0.1:7300"),
    ],
)
def test_only_what_may_be_a_temporal_server_is_named(monkeypatch, peers, named):
    monkeypatch.setattr(elsewhere.ports, "find_listener", lambda _ip, _port: None)
    temporal = SimpleNamespace(address="127.0.0.1:7233", port=7233)

    async def reason() -> str:
        looked = Elsewhere("jobs", ["q"], temporal, set, lambda _: True, list)
        return looked._other_server(peers).text

    text = asyncio.run(reason())
    expected = f"it is not connected to Temporal at 127.0.0.1:7233, but to {named}" if named else ""
    assert text == expected
